# SPDX-License-Identifier: MIT
"""The files of the lab's web servers: known content, so that a client can check every byte."""

import hashlib
import random
from functools import cache
from pathlib import Path

SIZES: dict[str, int] = {"64k": 64 << 10, "256k": 256 << 10, "1m": 1 << 20, "4m": 4 << 20}


def content(name: str) -> bytes:
    return random.Random(f"glb lab file {name}").randbytes(SIZES[name])


@cache
def digest(name: str) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content(name)).hexdigest()


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in SIZES:
        (folder / name).write_bytes(content(name))
