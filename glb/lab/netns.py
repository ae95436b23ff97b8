"""Network namespaces: make, remove, act inside, and find who lives in one.

A thread can enter a namespace on its own; so what must be done inside one is done by a thread made for it,
and the caller never moves.
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pyroute2 import netns as _netns

T = TypeVar("T")

_RUN = Path("/run/netns")


def path(name: str) -> Path:
    return _RUN / name


def create(name: str) -> None:
    _netns.create(name)


def remove(name: str) -> None:
    with suppress(FileNotFoundError):
        _netns.remove(name)


def names(prefix: str) -> list[str]:
    """The named namespaces that start with `prefix`."""
    return sorted(name for name in _netns.listnetns() if name.startswith(prefix))


def run_in(name: str, action: Callable[[], T]) -> T:
    """Run `action` inside a namespace and return what it returns; what it raises is raised here."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            _netns.setns(str(path(name)), flags=0)
            results.append(action())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter_and_act, name=f"in {name}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


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
