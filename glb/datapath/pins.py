# SPDX-License-Identifier: MIT
"""Where the datapath is pinned, so that it outlives its daemon and other programs can find it.

`<root>/<interface>/` holds `program`, `link`, and each map by its name in the C source (`counters`, `state`, `rows`,
...). The root is $GLB_PIN_DIR, or /sys/fs/bpf/glb.
"""

import ctypes
import os
import stat
from contextlib import suppress
from pathlib import Path

from glb.datapath import libbpf
from glb.datapath.kernel import object_id
from glb.datapath.program import LoadedProgram
from glb.errors import DatapathError, LockHeldError
from glb.locks import acquire
from glb.paths import run_dir

BPFFS = Path("/sys/fs/bpf")


def pin_root() -> Path:
    return Path(os.environ.get("GLB_PIN_DIR", BPFFS / "glb"))


def pin_dir(interface: str) -> Path:
    return pin_root() / interface


def attached_interfaces() -> list[str]:
    """The interfaces that something is pinned for. Raises PermissionError."""
    try:
        return sorted(path.name for path in pin_root().iterdir())
    except FileNotFoundError:
        return []


def open_pinned(interface: str, name: str) -> int:
    """A descriptor of what is pinned for an interface under a name. Raises DatapathError where nothing is,
    NotAllowedError where only root may have it."""
    path = pin_dir(interface) / name
    fd = libbpf.open_pin_if_there(path)
    if fd is None:
        raise DatapathError(f"{path} does not exist: no datapath is attached to {interface}")
    return fd


def mount_bpffs() -> None:
    """Mount the BPF file system where it belongs, unless it is there: plain containers and rescue systems lack it."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    if any(mount[1] == str(BPFFS) and mount[2] == "bpf" for mount in mounts):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", str(BPFFS).encode(), b"bpf", 0, b"mode=0700"):
        raise DatapathError(f"mount of the BPF file system on {BPFFS}: {os.strerror(ctypes.get_errno())}")


class PinDir:
    """The pins of one interface, held by one daemon at a time (a lock that the kernel drops with the process)."""

    def __init__(self, interface: str) -> None:
        """Raises DatapathError if another daemon holds them, or another user than root could change them."""
        mount_bpffs()
        self.path = pin_dir(interface)
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in (self.path.parent, self.path):
            _require_roots_own(folder)
        found = self.path.stat()
        try:  # by its inode: hosts in other mount namespaces may have other pins at the same path
            self._lock = acquire(Path(f"/pins/{found.st_dev}/{found.st_ino}"), f"the pins in {self.path}", seconds=0)
        except LockHeldError as error:
            raise DatapathError(
                f"{interface} already has a running glb daemon: stop it first (`glbctl director status`)"
            ) from error
        try:
            self._name = _claim_name(interface)
        except BaseException:
            os.close(self._lock)
            raise

    def pin(self, name: str, fd: int) -> None:
        """Pin under a name, in the place of what had it before; nothing is done if that is the same."""
        if self._holds(name, fd):
            return
        fresh = self.path / f"{name}_new"
        fresh.unlink(missing_ok=True)
        libbpf.pin(fd, fresh)
        fresh.rename(self.path / name)

    def pin_program(self, program: LoadedProgram) -> None:
        """Pin a program and its maps, in the place of an earlier program's."""
        names = {"program", "link", *program.maps}
        for name, table in program.maps.items():
            self.pin(name, table.fd)
        self.pin("program", program.fd)
        for path in self.path.iterdir():
            if path.name not in names:
                path.unlink()

    def _holds(self, name: str, fd: int) -> bool:
        pinned = self.open(name)
        if pinned is None:
            return False
        try:
            return object_id(pinned) == object_id(fd)
        finally:
            os.close(pinned)

    def open(self, name: str) -> int | None:
        """A descriptor of what an earlier daemon left under a name, if anything."""
        return libbpf.open_pin_if_there(self.path / name)

    def take(self, other: "PinDir") -> None:
        """Move another directory's pins here, in the place of what is here, and give the other up."""
        for path in other._there():
            path.rename(self.path / path.name)
        other.release()

    def clear(self) -> None:
        """Remove all pins; programs and maps that nothing else holds vanish with them."""
        for path in self._there():
            path.unlink()

    def release(self) -> None:
        """Give up the lock, and the directory if nothing is pinned in it."""
        if not self._there():
            with suppress(FileNotFoundError):
                self.path.rmdir()
        os.close(self._lock)
        os.close(self._name)

    def _there(self) -> list[Path]:
        """What is pinned; nothing if somebody has removed the directory with all that was in it."""
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []


def _claim_name(interface: str) -> int:
    """Lock an interface's name in the run directory, where status file and socket are called by it: network namespaces
    that share the directory may have interfaces of the same name."""
    name = run_dir() / interface
    try:
        return acquire(name, f"the name {interface} in {run_dir()}", seconds=0)
    except LockHeldError as error:
        raise DatapathError(
            f"{error}: it is a daemon of an interface {interface} with other pins, such as one in another network "
            "namespace; give each network namespace its own $GLB_RUN_DIR, $GLB_PIN_DIR and $GLB_STATE_DIR"
        ) from error


def _require_roots_own(folder: Path) -> None:
    """In a BPF file system that everybody may write to, somebody else may have made the directory first."""
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DatapathError(
            f"{folder}: mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}: another user could replace the "
            f"pins in it; remove it, or `chown root {folder}` and `chmod 700 {folder}`"
        )
