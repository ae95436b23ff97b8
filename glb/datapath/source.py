# SPDX-License-Identifier: MIT
"""The C sources, as bcc can take them."""

import re
from pathlib import Path

from glb.errors import DatapathError

_INCLUDE = re.compile(r'\s*#include "(?P<name>[^"]+)"')
_PACKAGE = Path(__file__).resolve().parent.parent


def source_dir() -> Path:
    """Where the BPF sources are: inside an installed package, beside it in a checkout."""
    for folder in (_PACKAGE / "bpf", _PACKAGE.parent / "bpf"):
        if (folder / "xdp_director.c").is_file():
            return folder
    raise DatapathError(f"the BPF sources are neither in {_PACKAGE / 'bpf'} nor beside the package: reinstall glb")


def read_source(name: str) -> str:
    """A source with each of its local headers put in at its first inclusion.

    bcc turns map operations into calls only in the main file, not in what that includes. `#line` keeps the
    compiler's messages true.
    """
    return "\n".join(_lines(source_dir() / name, set()))


def placeless(source: str) -> list[str]:
    """The lines of such a source without those that say where it is installed."""
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
