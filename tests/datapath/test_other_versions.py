# SPDX-License-Identifier: MIT
"""What another version of glb, or another tool, left on an interface is not taken over, whatever its identity says."""

import copy
import json
import os
import random
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from glb.datapath import libbpf
from glb.datapath.counters import counters_of, read_traffic
from glb.datapath.director import DirectorDatapath
from glb.datapath.identity import MAP_NAME, Identity
from glb.datapath.maps import Map
from glb.datapath.program import LICENSE, LoadedProgram
from glb.datapath.proxy import ProxyDatapath
from glb.datapath.verdicts import verdicts_of
from glb.errors import DatapathError

PASS_EVERYTHING = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit
BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_ARRAY = 1, 6
KEY = bytes(4)
CONSTANTS = {
    "MAX_SLOTS": 262144,
    "MAX_BACKENDS": 1024,
    "MAX_BINDS": 4096,
    "MAX_WIDE_BINDS": 256,
    "MAX_RANGES": 1024,
    "MAX_TRAFFIC": 2048,
}
MISSING: Any = object()


@contextmanager
def program_with(*maps: int) -> Iterator[int]:
    """A program that does nothing, with maps bound to it, which are closed."""
    program = libbpf.load_xdp("director", PASS_EVERYTHING, LICENSE)
    try:
        for each in maps:
            libbpf.bind_map(program, each)
            os.close(each)
        yield program
    finally:
        os.close(program)


def identity_map(data: bytes) -> int:
    fd = libbpf.create_map(MAP_NAME, libbpf.BPF_MAP_TYPE_ARRAY, len(data), 1)
    libbpf.update(fd, KEY, data)
    return fd


def identity(program: str = "director") -> dict[str, Any]:
    """As a program of this very version has it, but for the digest."""
    return {
        "program": program,
        "digest": "0" * 64,
        "constants": dict(CONSTANTS),
        "maps": {
            "state": ["<u4", [["generation", "<u4"], ["settings", [["mac", "<u8"]], [2]]]],
            "rows": ["<u4", "<u8"],
        },
    }


def is_refused(data: bytes) -> bool:
    """By directors and proxies alike, without an error."""
    with program_with(identity_map(data)) as program:
        return [kind.adopt(os.dup(program)) for kind in (DirectorDatapath, ProxyDatapath)] == [None, None]


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\xff\xfe", b"null", b"1", b"[]", b"{}", b'"text"', b"[" * 100_000, b'{"program": "director"}', b"nan"],
    ids=lambda data: repr(data[:12]),
)
def test_an_identity_that_cannot_be_read_is_another_versions(data: bytes) -> None:
    assert is_refused(data)


CHANGES = [
    (("constants", "MAX_TRAFFIC"), MISSING),
    (("constants", "MAX_TRAFFIC"), "2048"),
    (("constants", "MAX_TRAFFIC"), -1),
    (("constants", "MAX_TRAFFIC"), 1 << 70),
    (("constants", "MAX_TRAFFIC"), 2048.5),
    (("constants", "MAX_TRAFFIC"), None),
    (("constants", "MAX_TRAFFIC"), []),
    (("constants", "MAX_BINDS"), MISSING),
    (("constants", "MAX_PEERS"), 12),
    (("constants",), []),
    (("constants",), 7),
    (("constants",), MISSING),
    (("maps",), []),
    (("maps",), "state"),
    (("maps",), {}),
    (("maps",), MISSING),
    (("maps", "state"), "<u4"),
    (("maps", "state"), ["<u4"]),
    (("maps", "state"), ["<u4", "<u4", "<u4"]),
    (("maps", "state", 1), "no type"),
    (("maps", "state", 1), "{"),
    (("maps", "state", 1), "O"),
    (("maps", "state", 1), 4),
    (("maps", "state", 1), {"a": 1}),
    (("maps", "state", 1), [["a"]]),
    (("maps", "state", 1), [["a", "<u4"], ["a", "<u4"]]),
    (("maps", "state", 1), [["a", "<u4", [1 << 62]]]),
    (("maps", "state", 1), [["a", "<u4", 7]]),
    (("maps", "rows"), MISSING),
    (("maps", "rules"), ["<u4", "<u4"]),
    (("program",), 7),
    (("program",), "proxy"),
    (("digest",), None),
    (("digest",), ["0"]),
    (("author",), "another version"),
]


def changed(found: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """A copy with the value at a path replaced, added or removed."""
    copied = copy.deepcopy(found)
    place: Any = copied
    for step in path[:-1]:
        place = place[step]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copied


@pytest.mark.parametrize(("path", "value"), CHANGES, ids=[f"{p[-1]}={v!r:.12}" for p, v in CHANGES])
def test_an_identity_of_another_shape_is_another_versions(path: Sequence[str | int], value: Any) -> None:
    assert is_refused(json.dumps(changed(identity(), path, value)).encode())


@pytest.mark.parametrize("kind", [DirectorDatapath, ProxyDatapath])
def test_missing_maps_prevent_adoption_despite_the_digest(
    kind: type[DirectorDatapath] | type[ProxyDatapath], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as after a crash between the creation of a map and its binding."""
    name = "director" if kind is DirectorDatapath else "proxy"
    monkeypatch.setattr("glb.datapath.program.program_digest", lambda *_: "0" * 64)
    with program_with(identity_map(json.dumps(identity(name)).encode())) as program:
        assert kind.adopt(os.dup(program)) is None


@pytest.mark.parametrize(
    ("kind", "key_size", "entries"),
    [(BPF_MAP_TYPE_HASH, 4, 1), (BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1), (BPF_MAP_TYPE_HASH, 16, 1)],
)
def test_another_tools_map_named_identity_is_not_read(kind: int, key_size: int, entries: int) -> None:
    made = libbpf.create_map(MAP_NAME, kind, 4096, entries, key_size=key_size)
    with program_with(made) as program:
        assert DirectorDatapath.adopt(os.dup(program)) is None


@pytest.mark.parametrize("verdicts", [1, -1])
def test_counters_of_another_version_are_not_read_as_this_ones(verdicts: int) -> None:
    """The kernel copies as many bytes as the map has, wherever they lead."""
    size = 8 * (len(verdicts_of("director")) + verdicts)
    other = libbpf.create_map("counters", BPF_MAP_TYPE_PERCPU_ARRAY, size, 1)
    counters = Map(other, np.dtype(np.uint32), np.dtype((np.void, size * libbpf.possible_cpus())))
    program = LoadedProgram(other, Identity("director", "", {}, {}), {"counters": counters, "traffic": counters})
    try:
        with pytest.raises(DatapathError, match="another version of glb"):
            counters_of(program)
        with pytest.raises(DatapathError, match="another version of glb"):
            read_traffic(program, {("bind", "web", "203.0.113.10:80/tcp"): 0})
    finally:
        counters.close()


def test_random_changes_of_an_identity_never_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the digest agrees, so that all that is behind it has to cope."""
    rng = random.Random(10)
    values = (0, -1, 1 << 64, 0.5, None, True, "", "<u4", "O", "V0", [], {}, [["a", "<u4"]], [[]], "x" * 300, MISSING)
    monkeypatch.setattr("glb.datapath.program.program_digest", lambda *_: "0" * 64)
    for _ in range(300):
        found = identity(rng.choice(("director", "proxy")))
        for _ in range(rng.choice((1, 1, 2, 3))):
            found = changed(found, rng.choice(list(paths(found))), rng.choice(values))
            if not found:
                break
        assert is_refused(json.dumps(found).encode()), found


def paths(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """To each value inside of another."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in inner:
        yield (*above, step)
        yield from paths(below, (*above, step))
