# SPDX-License-Identifier: MIT
"""A file system that never answers, as a network file system whose server is gone."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung(folder: Path) -> Iterator[None]:
    """Until the end of the block, every access to what is in a folder hangs; then what hangs gets an error.

    It is a FUSE file system (fuse(4)) whose server, this process, reads no request.
    """
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={server},rootmode=40755,user_id=0,group_id=0,allow_other"
    try:
        if _libc.mount(b"hung", str(folder).encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
        try:
            yield
        finally:
            _libc.umount2(str(folder).encode(), _MNT_DETACH)
    finally:
        os.close(server)
