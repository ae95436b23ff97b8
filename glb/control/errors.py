"""The one error type of this folder."""

from glb.errors import GlbError


class ControlError(GlbError):
    """A daemon cannot be asked, or has refused. The message says which one, and why."""
