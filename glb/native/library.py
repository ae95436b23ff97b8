# SPDX-License-Identifier: MIT
"""The C library of the ranking: where it is, and how it is built.

Its file's name holds the digest of its sources, so that one built from others is never loaded. This module imports
nothing but the standard library: the package's build uses it (hatch_build.py).
"""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_SOURCE = _HERE / "rank.c"
_HEADERS = ("siphash.h", "types.h")
_FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
_DIGEST_LENGTH = 16


class BuildError(Exception):
    """Why the library could not be built."""


def file_name() -> str | None:
    """The library's name, whether or not it has been built; None where its sources are not installed."""
    folder = _headers()
    if folder is None or not _SOURCE.is_file():
        return None
    digest = sha256(b"".join(path.read_bytes() for path in (_SOURCE, *(folder / name for name in _HEADERS))))
    return f"librank-{digest.hexdigest()[:_DIGEST_LENGTH]}.so"


def built(folder: Path = _HERE) -> Path | None:
    """The library in a folder that fits the sources, if it is there."""
    name = file_name()
    path = None if name is None else folder / name
    return path if path is not None and path.is_file() else None


def build(folder: Path = _HERE) -> Path:
    """Build the library in a folder, by $CC or cc. Raises BuildError, which says what is missing."""
    headers, name = _headers(), file_name()
    if headers is None or name is None:
        raise BuildError(f"{_SOURCE.name} or bpf/{_HEADERS[0]} is missing")
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BuildError("no C compiler: neither $CC nor cc is there")
    path = folder / name
    unfinished = path.with_suffix(f".{os.getpid()}")
    command = [compiler, *_FLAGS, f"-I{headers}", str(_SOURCE), "-o", str(unfinished), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        unfinished.unlink(missing_ok=True)
        raise BuildError(f"{compiler} failed on {_SOURCE}:\n{done.stderr.strip()}")
    unfinished.replace(path)
    return path


def _headers() -> Path | None:
    """The folder of the headers: inside an installed package, beside it in a checkout."""
    package = _HERE.parent
    for folder in (package / "bpf", package.parent / "bpf"):
        if all((folder / name).is_file() for name in _HEADERS):
            return folder
    return None
