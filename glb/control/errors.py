"""The errors of this folder."""

from glb.errors import GlbError


class ControlError(GlbError):
    """A daemon cannot be reached, has refused, or cannot listen. The message says which one or where, and why."""


class BadRequest(GlbError):
    """A request does not hold what its route requires. The message names each input, one a line."""
