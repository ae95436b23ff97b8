# SPDX-License-Identifier: MIT
"""From C source to a program's spec: from the cache, or by bcc in a child process."""

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from glb.datapath import libbpf
from glb.datapath.btf import SOCKET_MEMBERS
from glb.datapath.identity import compiler_version
from glb.datapath.program_cache import ProgramCache, read_entry, shipped_dir
from glb.datapath.source import read_source, system_headers, without_line_directives
from glb.datapath.spec import ProgramSpec
from glb.errors import DatapathError

log = logging.getLogger(__name__)

_CHILD_SECONDS = 120.0  # some 3 s of CPU time; a busy machine takes longer
_LPM_TRIE, _NO_PREALLOC = 11, 1
# Macros that a map's number of entries is proportional to, and nothing else depends on. The compiler, which creates the
# maps, gets 1 instead: rows may take gigabytes, and programs that differ by them alone are compiled once.
_SIZES = {"MAX_SLOTS": "rows", "CAPTURE": "capture_state"}
# Macros of offsets that differ between kernels. The compiler gets these instead, which occur nowhere else; the offsets
# are written into the instructions afterwards, so that a program is compiled once for all kernels.
_PLACEHOLDERS = {macro: 0x7000 + 8 * number for number, macro in enumerate(sorted(SOCKET_MEMBERS))}


@dataclass(frozen=True, slots=True)
class _Made:
    """A spec, and the files whose change makes it stale: their paths, sizes and modification times (ns)."""

    spec: ProgramSpec
    inputs: Sequence[tuple[str, int, int]]

    def is_current(self) -> bool:
        return all(_state_of(path) == (size, changed) for path, size, changed in self.inputs)

    def to_bytes(self) -> bytes:
        return json.dumps({"spec": self.spec.to_json(), "inputs": self.inputs}).encode()

    @classmethod
    def kept(cls, data: bytes | None) -> "_Made | None":
        """None if `to_bytes` cannot have written the data."""
        if data is None:
            return None
        try:
            found = json.loads(data)
            inputs = [(str(path), int(size), int(changed)) for path, size, changed in found["inputs"]]
            return cls(ProgramSpec.from_json(found["spec"]), inputs)
        except (ValueError, TypeError, KeyError):
            return None


def compiled(name: str, constants: Mapping[str, int], cache: ProgramCache | None = None) -> ProgramSpec:
    """Compile bpf/xdp_<name>.c with the constants as macros, or take what a package or this host has of the same.

    cache: the host's if None. Raises DatapathError with the compiler's messages.
    """
    spec = _made(_Job.of(name, constants), cache or ProgramCache.of_host())
    offsets = {_PLACEHOLDERS[macro]: value for macro, value in constants.items() if macro in _PLACEHOLDERS}
    sizes = {_SIZES[macro]: value for macro, value in constants.items() if macro in _SIZES}
    return spec.with_offsets(offsets).enlarged(sizes).on_cpus(libbpf.possible_cpus())


def ship(name: str, constants: Mapping[str, int], folder: Path) -> None:
    """Compile a program into a folder, whose files a package has in `shipped_dir`.

    The result depends neither on the kernel nor on the CPUs of this host, and is valid whatever compiler a host has.
    Raises DatapathError with the compiler's messages.
    """
    job = _Job.of(name, constants)
    ProgramCache(folder).write(job.shipped_key(), replace(_compile(job), inputs=()).to_bytes())


@dataclass(frozen=True, slots=True)
class _Job:
    """The input of the compiler."""

    name: str
    text: str
    flags: Sequence[str]
    placeholders: frozenset[int]

    @classmethod
    def of(cls, name: str, constants: Mapping[str, int]) -> "_Job":
        values = {
            macro: 1 if macro in _SIZES else _PLACEHOLDERS.get(macro, value) for macro, value in constants.items()
        }
        flags = ["-Wall", *(f"-D{macro}={value}" for macro, value in values.items())]
        placeholders = frozenset(_PLACEHOLDERS[macro] for macro in constants if macro in _PLACEHOLDERS)
        return cls(name, read_source(f"xdp_{name}.c"), flags, placeholders)

    def shipped_key(self) -> str:
        """SHA-256, in hex, of all that decides what a program does."""
        return _digest(self._parts())

    def host_key(self) -> str:
        """The same of all that decides what this host's compiler makes, apart from its inputs on disk. bcc looks at the
        kernel's version."""
        return _digest((*self._parts(), compiler_version(), platform.release()))

    def _parts(self) -> tuple[object, ...]:
        return self.name, without_line_directives(self.text), self.flags, version("glb"), platform.machine()


def _digest(parts: tuple[object, ...]) -> str:
    return sha256(repr(parts).encode()).hexdigest()


def _made(job: _Job, cache: ProgramCache) -> ProgramSpec:
    shipped = _Made.kept(read_entry(shipped_dir(), job.shipped_key()))
    if shipped is not None:
        return shipped.spec
    key = job.host_key()
    made = _Made.kept(cache.read(key))
    if made is not None and made.is_current():
        return made.spec
    log.info("compiling the program %s, which takes some seconds", job.name)
    made = _compile(job)
    cache.write(key, made.to_bytes())
    return made.spec


def _compile(job: _Job) -> _Made:
    headers = system_headers()
    _require_permission()
    found = _in_child(job.name, {"name": job.name, "text": job.text, "flags": job.flags, "parent": os.getpid()})
    inputs = [(path, *_state_of(path)) for path in (*map(str, headers), *found["libraries"])]
    spec = ProgramSpec.from_json(found["spec"])
    if not job.placeholders <= spec.load_offsets() or job.placeholders & spec.immediates():
        raise DatapathError(f"compile of xdp_{job.name}.c: an offset in a kernel struct is not only that of a load")
    return _Made(spec, inputs)


def _require_permission() -> None:
    """Raise DatapathError, which says what is needed, before the compiler fails with its own message."""
    os.close(libbpf.create_map("permission", _LPM_TRIE, 1, 1, flags=_NO_PREALLOC, key_size=8))


def _in_child(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
    doing = f"compile of xdp_{name}.c"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "glb.datapath.compile_child"],
            input=json.dumps(job).encode(),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            timeout=_CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DatapathError(f"{doing}: not done after {_CHILD_SECONDS:.0f} s, so it was stopped") from error
    except OSError as error:
        raise DatapathError(f"{doing}: {sys.executable} cannot be run: {error.strerror}") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        raise DatapathError(f"{doing}: the compiler's process ended with status {done.returncode}\n{said}".strip())
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise DatapathError(f"{doing}: {found['error']}\n{said}".strip())
    return found


def _state_of(path: str) -> tuple[int, int]:
    """Size and modification time in ns; zeros if the file does not exist."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
