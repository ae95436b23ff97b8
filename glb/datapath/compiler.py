# SPDX-License-Identifier: MIT
"""From C source to a program's spec: out of the cache, or by bcc in a child process."""

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from glb.datapath import libbpf
from glb.datapath.identity import compiler_version
from glb.datapath.program_cache import ProgramCache
from glb.datapath.source import read_source, system_headers, without_line_directives
from glb.datapath.spec import ProgramSpec
from glb.errors import DatapathError

log = logging.getLogger(__name__)

_CHILD_SECONDS = 120.0  # some 3 s of CPU time; a busy machine takes longer
_LPM_TRIE, _NO_PREALLOC = 11, 1
# Macros that a map's number of entries is proportional to, and nothing else depends on. The compiler, which creates the
# maps, gets 1 instead: rows may take gigabytes, and programs that differ by them alone are compiled once.
_SIZES = {"MAX_SLOTS": "rows"}


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
    def from_bytes(cls, data: bytes) -> "_Made | None":
        """None for anything that `to_bytes` does not give."""
        try:
            found = json.loads(data)
            inputs = [(str(path), int(size), int(changed)) for path, size, changed in found["inputs"]]
            return cls(ProgramSpec.from_json(found["spec"]), inputs)
        except (ValueError, TypeError, KeyError):
            return None


def compiled(name: str, constants: Mapping[str, int], cache: ProgramCache | None = None) -> ProgramSpec:
    """Compile bpf/xdp_<name>.c with the constants as macros, or take what was made of the same before.

    cache: None stands for the host's own. Raises DatapathError with the compiler's messages.
    """
    spec = _made(name, {macro: 1 if macro in _SIZES else value for macro, value in constants.items()}, cache)
    return spec.enlarged({_SIZES[macro]: value for macro, value in constants.items() if macro in _SIZES})


def _made(name: str, constants: Mapping[str, int], cache: ProgramCache | None) -> ProgramSpec:
    cache = cache or ProgramCache.of_host()
    text = read_source(f"xdp_{name}.c")
    flags = ["-Wall", *(f"-D{macro}={value}" for macro, value in constants.items())]
    key = _key(name, text, flags)
    kept = cache.read(key)
    made = None if kept is None else _Made.from_bytes(kept)
    if made is not None and made.is_current():
        return made.spec
    log.info("compiling the program %s, which takes some seconds", name)
    made = _compile(name, text, flags)
    cache.write(key, made.to_bytes())
    return made.spec


def _key(name: str, text: str, flags: Sequence[str]) -> str:
    """SHA-256, in hex, of all that decides what the compiler makes, apart from its inputs on disk.

    Per-CPU values are as many as the CPUs, and bcc looks at the kernel's version.
    """
    parts = (
        name,
        without_line_directives(text),
        flags,
        compiler_version(),
        version("glb"),
        platform.machine(),
        platform.release(),
        libbpf.possible_cpus(),
    )
    return sha256(repr(parts).encode()).hexdigest()


def _compile(name: str, text: str, flags: Sequence[str]) -> _Made:
    headers = system_headers()
    _require_permission()
    found = _in_child(name, {"name": name, "text": text, "flags": flags, "parent": os.getpid()})
    inputs = [(path, *_state_of(path)) for path in (*map(str, headers), *found["libraries"])]
    return _Made(ProgramSpec.from_json(found["spec"]), inputs)


def _require_permission() -> None:
    """Raise DatapathError, which says what is needed, before the compiler fails in words of its own."""
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
    """Size and modification time in ns; of what is not there, that of nothing."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
