# SPDX-License-Identifier: MIT
"""The header tree that bcc compiles against, in place of a kernel's own headers.

An XDP program needs nothing beyond the UAPI headers of linux-libc-dev. bcc insists on a kernel source tree: it gets
bpf/kernel, a few small files, behind which the compiler finds the system's. Nothing is written, so that a daemon that
is killed while it compiles leaves nothing behind.
"""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glb.datapath.source import source_dir
from glb.errors import DatapathError

_INCLUDE = Path("/usr/include")
_FOLDERS = (_INCLUDE, _INCLUDE / (sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"))


def system_headers() -> tuple[Path, Path]:
    """The folders of the system's headers that the sources need. Raises DatapathError if one is missing."""
    found = (_FOLDERS[0] / "linux", _FOLDERS[1] / "asm")
    for needed in found:
        if not needed.is_dir():
            raise DatapathError(f"{needed} is missing: install linux-libc-dev")
    return found


@contextmanager
def kernel_headers() -> Iterator[list[str]]:
    """Make bcc find the header tree while the context lasts; gives the flags by which it also finds the system's.

    Raises DatapathError if those are missing.
    """
    system_headers()
    before = os.environ.get("BCC_KERNEL_SOURCE")
    os.environ["BCC_KERNEL_SOURCE"] = str(source_dir() / "kernel")
    try:
        yield [flag for folder in _FOLDERS for flag in ("-idirafter", str(folder))]
    finally:
        os.environ.pop("BCC_KERNEL_SOURCE")
        if before is not None:
            os.environ["BCC_KERNEL_SOURCE"] = before
