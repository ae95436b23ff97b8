"""The host's network, as netlink tells it: interfaces, namespaces, next hops."""
