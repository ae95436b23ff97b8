# SPDX-License-Identifier: MIT
"""The host's network, as netlink tells it: interfaces, namespaces, next hops."""
