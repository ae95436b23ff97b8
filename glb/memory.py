# SPDX-License-Identifier: MIT
"""Available memory, checked before large allocations: a refusal with numbers is better than the OOM killer."""

import ctypes
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_M_ARENA_MAX = -8
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def available_bytes() -> int:
    """The least of what the host, the process's control groups (version 2) and RLIMIT_AS leave, in bytes."""
    return max(0, min((_of_host(), *_of_cgroups(), *_of_limit())))


def shortage(needed: int, what: str) -> str | None:
    """A sentence about `what` if fewer bytes than `needed` are available; otherwise None."""
    available = available_bytes()
    if needed <= available:
        return None
    return f"{what} need {in_words(needed)} of memory, and {in_words(available)} are available"


def in_words(count: int) -> str:
    """For example "1.5 GiB"."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} bytes"


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without Python's garbage collector: while modules are imported, it runs often and finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def share_heap() -> None:
    """Let all threads that begin later allocate from one heap (mallopt(3), M_ARENA_MAX).

    By default the C library gives them up to eight for each CPU, and each keeps what was freed in it.
    """
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return freed memory to the kernel (malloc_trim(3)), after work that needed much of it."""
    ctypes.CDLL(None).malloc_trim(0)


def _of_host() -> int:
    """MemAvailable of proc_meminfo(5)."""
    return 1024 * int(_fields(Path("/proc/meminfo"))["MemAvailable:"])


def _of_cgroups() -> Iterator[int]:
    """The kernel's Documentation/admin-guide/cgroup-v2.rst: the limits of parent groups apply, too."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    group = _CGROUPS / own
    while group != _CGROUPS and group.is_relative_to(_CGROUPS):
        try:
            limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
            unused_cache = int(_fields(group / "memory.stat")["inactive_file"])
        except (OSError, KeyError):  # without the memory controller, or from another mount namespace
            return
        if limit != "max":
            yield int(limit) - int(used) + unused_cache
        group = group.parent


def _of_limit() -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit - 1024 * int(_fields(Path("/proc/self/status"))["VmSize:"])


def _fields(path: Path) -> dict[str, str]:
    """The first two words of each line of a file, as key and value."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {line[0]: line[1] for line in lines if len(line) > 1}
