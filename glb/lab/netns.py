"""Network namespaces: make, remove, act inside, and find who lives in one.

A thread can enter a namespace on its own; so what must be done inside one is done by a thread made for it,
and the caller never moves.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pyroute2 import netns as _netns

T = TypeVar("T")

_RUN = Path("/run/netns")
_libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    return _RUN / name


def create(name: str) -> None:
    """Make a named namespace. Raises OSError if the system does not let us."""

    def part_and_name() -> None:
        if _libc.unshare(_netns.CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot make the network namespace {name}")
        _netns.attach(name, threading.get_native_id())

    _in_a_thread(part_and_name)


def remove(name: str) -> None:
    with suppress(FileNotFoundError):
        _netns.remove(name)


def names(prefix: str) -> list[str]:
    """The named namespaces that start with `prefix`."""
    return sorted(name for name in _netns.listnetns() if name.startswith(prefix))


def run_in(name: str, action: Callable[[], T]) -> T:
    """Run `action` inside a namespace and return what it returns; what it raises is raised here."""

    def enter_and_act() -> T:
        _netns.setns(str(path(name)), flags=0)
        return action()

    return _in_a_thread(enter_and_act)


def _in_a_thread(action: Callable[[], T]) -> T:
    """Run `action` in a new thread, which may leave the caller's namespace for good."""
    result: Future[T] = Future()

    def act() -> None:
        try:
            result.set_result(action())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    return result.result()


def set_sysctls(name: str, settings: Mapping[str, int | str]) -> None:
    """Set e.g. `net.ipv4.tcp_syncookies` inside a namespace."""

    def write() -> None:
        for key, value in settings.items():
            Path("/proc/sys", key.replace(".", "/")).write_text(f"{value}\n")

    run_in(name, write)


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
