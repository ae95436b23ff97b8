# SPDX-License-Identifier: MIT
"""The error types of this folder."""

import errno
import os

from glb.errors import GlbError

NEEDS = (
    "glb needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or CAP_SYS_ADMIN, in the host's user namespace: root has them "
    "unless a container, a service manager, a seccomp filter or the kernel's lockdown takes them away"
)
"""What the kernel wants for BPF (capabilities(7)), where it answers EPERM."""


class DatapathError(GlbError):
    """The kernel, or what bcc made for it, refused. The message names the step and the kernel's reason."""


class NotAllowedError(GlbError):
    """Whether there is a datapath or not, this user may not look at it. The message says that root is needed."""


def check(result: int, doing: str, hint: str = "") -> int:
    """Return what a libbpf call returned, or raise DatapathError where that is a negative errno."""
    if result >= 0:
        return result
    reason = os.strerror(-result)
    if -result == errno.EPERM:
        hint = "; ".join(filter(None, (NEEDS, hint)))
    raise DatapathError(f"{doing}: {reason}" + (f" ({hint})" if hint else ""))
