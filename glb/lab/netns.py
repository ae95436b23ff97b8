# SPDX-License-Identifier: MIT
"""Network namespaces: create, remove, set sysctls, list processes."""

import ctypes
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pyroute2 import netns as _netns

from glb.network.namespaces import NAMED, within

_libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    return NAMED / name


def create(name: str) -> None:
    """Create a named namespace. Raises OSError if the system refuses."""

    def unshare_and_name() -> None:
        if _libc.unshare(_netns.CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot make the network namespace {name}")
        _netns.attach(name, threading.get_native_id())

    with ThreadPoolExecutor(1) as thread:  # a thread, since it does not return to the caller's namespace
        thread.submit(unshare_and_name).result()


def remove(name: str) -> None:
    with suppress(FileNotFoundError):
        _netns.remove(name)


def names(prefix: str) -> list[str]:
    """The named namespaces that start with `prefix`."""
    return sorted(name for name in _netns.listnetns() if name.startswith(prefix))


def set_sysctls(name: str, settings: Mapping[str, int | str]) -> None:
    """Set e.g. `net.ipv4.tcp_syncookies` inside a namespace."""

    def write() -> None:
        for key, value in settings.items():
            Path("/proc/sys", key.replace(".", "/")).write_text(f"{value}\n")

    within(name, write)


def processes_in(name: str) -> list[int]:
    """The processes whose network namespace this is (never the caller's own)."""
    try:
        wanted = path(name).stat()
    except FileNotFoundError:
        return []
    return [pid for pid in _all_processes() if pid != os.getpid() and _lives_in(pid, wanted)]


def _all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _lives_in(pid: int, wanted: os.stat_result) -> bool:
    try:
        found = Path(f"/proc/{pid}/ns/net").stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)
