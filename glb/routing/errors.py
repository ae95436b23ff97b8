# SPDX-License-Identifier: MIT
"""The one error of the routing."""

from glb.errors import GlbError


class RoutingError(GlbError):
    """A BGP speaker that does not start, does not answer, or refuses what it is told."""
