# SPDX-License-Identifier: MIT
"""The pins of a datapath, by which it outlives its daemon and other programs find it.

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
    """The interfaces that have pins. Raises PermissionError."""
    try:
        return sorted(path.name for path in pin_root().iterdir())
    except FileNotFoundError:
        return []


def open_pinned(interface: str, name: str) -> int:
    """A descriptor of an interface's pin. Raises DatapathError if it does not exist, NotAllowedError if only root may
    open it."""
    path = pin_dir(interface) / name
    fd = libbpf.open_pin_if_there(path)
    if fd is None:
        raise DatapathError(f"{path} does not exist: no datapath is attached to {interface}")
    return fd


def mount_bpffs() -> None:
    """Mount the BPF file system, unless it is mounted: plain containers and rescue systems lack it."""
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
        try:  # by its inode: in another mount namespace, the same path may be other pins
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
        """Pin under a name, replacing another object's pin of this name."""
        if self._holds(name, fd):
            return
        fresh = self.path / f"{name}_new"
        fresh.unlink(missing_ok=True)
        libbpf.pin(fd, fresh)
        fresh.rename(self.path / name)

    def pin_program(self, program: LoadedProgram) -> None:
        """Pin a program and its maps, replacing the pins of an earlier program."""
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
        """A descriptor of a pin, None if it does not exist."""
        return libbpf.open_pin_if_there(self.path / name)

    def take(self, other: "PinDir") -> None:
        """Move another directory's pins here, replacing those of the same name, and release the other."""
        for path in other._there():
            path.rename(self.path / path.name)
        other.release()

    def clear(self) -> None:
        """Remove all pins; the kernel frees programs and maps without another reference."""
        for path in self._there():
            path.unlink()

    def release(self) -> None:
        """Release the lock, and remove the directory if it is empty."""
        if not self._there():
            with suppress(FileNotFoundError):
                self.path.rmdir()
        os.close(self._lock)
        os.close(self._name)

    def _there(self) -> list[Path]:
        """The pins; none if the directory has been removed."""
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []


def _claim_name(interface: str) -> int:
    """Lock an interface's name in the run directory, where status file and socket have it as their name: network
    namespaces that share the directory may have interfaces of the same name."""
    name = run_dir() / interface
    try:
        return acquire(name, f"the name {interface} in {run_dir()}", seconds=0)
    except LockHeldError as error:
        raise DatapathError(
            f"{error}: it is a daemon of an interface {interface} with other pins, such as one in another network "
            "namespace; give each network namespace its own $GLB_RUN_DIR, $GLB_PIN_DIR and $GLB_STATE_DIR"
        ) from error


def _require_roots_own(folder: Path) -> None:
    """In a world-writable BPF file system, another user may have created the directory first."""
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DatapathError(
            f"{folder}: mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}: another user could replace the "
            f"pins in it; remove it, or `chown root {folder}` and `chmod 700 {folder}`"
        )
