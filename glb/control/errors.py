"""The one error type of this folder."""

from glb.errors import GlbError


class ControlError(GlbError):
    """A daemon cannot be asked, has refused, or cannot listen. The message says which one or where, and why."""
