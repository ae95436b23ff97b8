# SPDX-License-Identifier: MIT
"""Compile the BPF programs, as they are attached and as capture programs, with all warnings as errors.

The compiler is the clang in bcc, as for the daemons: no other tool parses the map syntax of bcc in the sources.
"""

import sys

from bcc import BPF

from glb.datapath import proxy
from glb.datapath.director import constants_for
from glb.datapath.layout import Capacity
from glb.datapath.source import kernel_headers, read_source

_WARNINGS = ("-Werror", "-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Wcast-qual")
_NOT = ("-Wno-unused-parameter", "-Wno-unused-function")  # empty functions without CAPTURE; headers of both programs
_SMALL = Capacity(slots=1, backends=2, binds=2, wide_binds=1, ranges=1, traffic=1)


def main() -> int:
    faults = 0
    for name, constants in (("director", constants_for(_SMALL)), ("proxy", proxy.constants())):
        for capture in ({}, {"CAPTURE": 2}):
            macros = [f"-D{macro}={value}" for macro, value in {**constants, **capture}.items()]
            with kernel_headers() as headers:
                try:
                    BPF(text=read_source(f"xdp_{name}.c").encode(), cflags=[*headers, *macros, *_WARNINGS, *_NOT])
                except Exception:  # bcc has no type of its own; clang has printed the warnings
                    faults += 1
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
