# SPDX-License-Identifier: MIT
"""The compiler, in a separate process: `python -m glb.datapath.compile_child`, started only by compiler.py.

So LLVM, some 150 MB, is not mapped into a daemon, and a compile does not hold the daemon's interpreter lock. The job is
read from standard input and the result is written to standard output, both as JSON; the compiler's messages are
written to standard error.
"""

import ctypes as ct
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from glb.datapath.kernel import MapInfo, btf_data, map_info
from glb.datapath.source import kernel_headers
from glb.datapath.spec import MapSpec, MapTypes, ProgramSpec, Type, with_maps
from glb.errors import DatapathError

_PR_SET_PDEATHSIG = 1
_COMPILER = ("libbcc", "libLLVM", "libclang", "libbpf")


def main() -> None:
    job = json.load(sys.stdin)
    _end_with(job["parent"])
    with os.fdopen(os.dup(1), "w") as result:
        os.dup2(2, 1)  # the compiler's output is not part of the result
        try:
            spec = _compile(job["name"], job["text"], job["flags"])
        except (DatapathError, ImportError) as error:
            json.dump({"error": str(error)}, result)
        else:
            json.dump({"spec": spec.to_json(), "libraries": _libraries()}, result)


def _end_with(parent: int) -> None:
    """End when the parent ends for any reason, and ignore signals that are meant for the parent (prctl(2))."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    ct.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def _compile(name: str, text: str, flags: list[str]) -> ProgramSpec:
    from bcc import BPF  # here, so that its absence can be reported

    with kernel_headers() as headers:
        try:
            bpf = BPF(text=text.encode(), cflags=[*headers, *flags])
        except Exception as error:  # bcc has no type of its own
            raise DatapathError(str(error)) from error
    tables = {table: bpf[table.encode()] for table in _map_names(bpf)}
    places = {table.map_fd: place for place, table in enumerate(tables.values())}
    return ProgramSpec(
        instructions=with_maps(_instructions(bpf, name), places),
        maps={table: _map_spec(found) for table, found in tables.items()},
        btf=_btf(tables),
    )


def _map_spec(table: Any) -> MapSpec:
    info = map_info(table.map_fd)
    return MapSpec(
        kind=info.kind,
        key_size=info.key_size,
        value_size=info.value_size,
        entries=info.entries,
        flags=info.flags,
        btf_key=info.btf_key,
        btf_value=info.btf_value,
        types=MapTypes(np.dtype(table.Key), _value_type(table, info)),
    )


def _value_type(table: Any, info: MapInfo) -> Type:
    """Bytes for an array, which bcc also takes a per-CPU map's value for."""
    dtype = np.dtype(table.Leaf)
    return dtype if dtype.subdtype is None else np.dtype((np.void, info.value_size))


def _btf(tables: dict[str, Any]) -> bytes:
    """The BTF that bcc used for all maps that have one."""
    numbers = {map_info(table.map_fd).btf for table in tables.values()} - {0}
    return btf_data(numbers.pop()) if numbers else b""


def _instructions(bpf: Any, name: str) -> bytes:
    from bcc import lib

    start = lib.bpf_function_start(bpf.module, name.encode())
    return ct.string_at(start, lib.bpf_function_size(bpf.module, name.encode()))


def _map_names(bpf: Any) -> list[str]:
    from bcc import lib

    # bcc's Python does not declare these two functions of libbcc.
    lib.bpf_num_tables.restype = ct.c_size_t
    lib.bpf_num_tables.argtypes = (ct.c_void_p,)
    lib.bpf_table_name.restype = ct.c_char_p
    lib.bpf_table_name.argtypes = (ct.c_void_p, ct.c_size_t)
    return [lib.bpf_table_name(bpf.module, i).decode() for i in range(lib.bpf_num_tables(bpf.module))]


def _libraries() -> list[str]:
    """The paths of the compiler's shared libraries, as mapped here (proc_pid_maps(5))."""
    mapped = {line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    return sorted(path for path in mapped if Path(path).name.startswith(_COMPILER))


if __name__ == "__main__":
    main()
