"""The one error type of this folder."""

import os

from glb.errors import GlbError


class DatapathError(GlbError):
    """The kernel, or what bcc made for it, refused. The message names the step and the kernel's reason."""


def check(result: int, doing: str, hint: str = "") -> int:
    """Return what a libbpf call returned, or raise DatapathError where that is a negative errno."""
    if result >= 0:
        return result
    reason = os.strerror(-result)
    raise DatapathError(f"{doing}: {reason}" + (f" ({hint})" if hint else ""))
