"""The error types of this folder."""

import os

from glb.errors import GlbError


class DatapathError(GlbError):
    """The kernel, or what bcc made for it, refused. The message names the step and the kernel's reason."""


class NotAllowedError(GlbError):
    """Whether there is a datapath or not, this user may not look at it. The message says that root is needed."""


def check(result: int, doing: str, hint: str = "") -> int:
    """Return what a libbpf call returned, or raise DatapathError where that is a negative errno."""
    if result >= 0:
        return result
    reason = os.strerror(-result)
    raise DatapathError(f"{doing}: {reason}" + (f" ({hint})" if hint else ""))
