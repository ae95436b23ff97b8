# SPDX-License-Identifier: MIT
"""The C sources and the headers, as bcc reads them.

An XDP program needs nothing beyond the UAPI headers of linux-libc-dev. bcc requires a kernel source tree: it gets
bpf/kernel, a few small files, and the compiler finds the system's headers behind them. No file is written, so a daemon
that is killed during a compile leaves none behind.
"""

import os
import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glb.errors import DatapathError

_INCLUDE = re.compile(r'\s*#include "(?P<name>[^"]+)"')
_PACKAGE = Path(__file__).resolve().parent.parent


def source_dir() -> Path:
    """The folder of the BPF sources: in an installed package, or beside it in a checkout."""
    for folder in (_PACKAGE / "bpf", _PACKAGE.parent / "bpf"):
        if (folder / "xdp_director.c").is_file():
            return folder
    raise DatapathError(f"the BPF sources are neither in {_PACKAGE / 'bpf'} nor beside the package: reinstall glb")


def read_source(name: str) -> str:
    """A source with each local header inserted at its first inclusion.

    bcc rewrites map operations only in the main file. `#line` keeps the compiler's messages correct.
    """
    return "\n".join(_lines(source_dir() / name, set()))


def without_line_directives(source: str) -> list[str]:
    """The lines of such a source without the paths of its files."""
    return [line for line in source.splitlines() if not line.startswith("#line")]


def _lines(path: Path, seen: set[Path]) -> list[str]:
    if path in seen:
        return []
    seen.add(path)
    lines = [f'#line 1 "{path}"']
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        include = _INCLUDE.match(line)
        if include:
            lines += _lines(path.parent / include["name"], seen)
            lines.append(f'#line {number + 1} "{path}"')
        elif line.strip() != "#pragma once":
            lines.append(line)
    return lines


_SYSTEM = Path("/usr/include")
_FOLDERS = (_SYSTEM, _SYSTEM / (sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"))


def system_headers() -> tuple[Path, Path]:
    """The folders of the system's headers that the sources need. Raises DatapathError if one is missing."""
    found = (_FOLDERS[0] / "linux", _FOLDERS[1] / "asm")
    for needed in found:
        if not needed.is_dir():
            raise DatapathError(f"{needed} is missing: install linux-libc-dev")
    return found


@contextmanager
def kernel_headers() -> Iterator[list[str]]:
    """Set bcc's header tree within the context; gives the flags for the system's headers.

    Raises DatapathError if those are missing.
    """
    system_headers()
    before = os.environ.get("BCC_KERNEL_SOURCE")
    os.environ["BCC_KERNEL_SOURCE"] = str(source_dir() / "kernel")
    try:
        yield [flag for folder in _FOLDERS for flag in ("-idirafter", str(folder))]
    finally:
        os.environ.pop("BCC_KERNEL_SOURCE")
        if before is not None:
            os.environ["BCC_KERNEL_SOURCE"] = before
