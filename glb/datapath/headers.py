"""The header tree that bcc compiles against, in place of a kernel's own headers.

An XDP program needs nothing beyond the UAPI headers of linux-libc-dev. bcc insists on a kernel source tree: it gets
one of a few small files and links, which lives while the compiler runs.
"""

import os
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glb.datapath.errors import DatapathError

_INCLUDE = Path("/usr/include")

_FILES = {
    # bcc's own copy of bpf.h is newer than the system's, and wins by the guard.
    "linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n#define __LINUX_BPF_H__\n",
    "linux/types.h": """\
#ifndef GLB_LINUX_TYPES_H
#define GLB_LINUX_TYPES_H
#include <uapi/linux/types.h>
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
typedef unsigned long size_t;
typedef unsigned long uintptr_t;
#endif
""",
    "linux/log2.h": "",
    "asm/page.h": "",
    # linux/icmp.h includes linux/if.h, which wants this one struct of the C library.
    "sys/socket.h": "struct sockaddr { unsigned short sa_family; char sa_data[14]; };\n",
}


def _links() -> dict[str, Path]:
    triplet = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    return {
        "uapi/linux": _INCLUDE / "linux",
        "uapi/asm": _INCLUDE / triplet / "asm",
        "uapi/asm-generic": _INCLUDE / "asm-generic",
    }


@contextmanager
def kernel_headers() -> Iterator[None]:
    """Make bcc find the header tree while the context lasts.

    Raises DatapathError if the system's UAPI headers are missing.
    """
    links = _links()
    for target in links.values():
        if not target.is_dir():
            raise DatapathError(f"{target} is missing: install linux-libc-dev")
    before = os.environ.get("BCC_KERNEL_SOURCE")
    with tempfile.TemporaryDirectory(prefix="glb-headers-") as top:
        include = Path(top) / "include"
        for name, text in _FILES.items():
            _parent(include / name).write_text(text)
        for name, target in links.items():
            _parent(include / name).symlink_to(target)
        os.environ["BCC_KERNEL_SOURCE"] = top
        try:
            yield
        finally:
            os.environ.pop("BCC_KERNEL_SOURCE")
            if before is not None:
                os.environ["BCC_KERNEL_SOURCE"] = before


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
