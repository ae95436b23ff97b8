# SPDX-License-Identifier: MIT
"""The host's network, as netlink reports it: interfaces, namespaces, next hops."""
