"""What a loaded program is: kept in the kernel as long as the program, in a map that is bound to it.

So the next daemon knows, without compiling anything, whether what runs is what it would load itself, and how to read
its maps.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from glb.datapath import libbpf
from glb.datapath.kernel import map_info
from glb.datapath.source import read_source

MAP_NAME = "identity"
_KEY = bytes(4)
# What json and numpy raise for text that they cannot make sense of.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)

Type = np.dtype[Any]


class MapTypes(NamedTuple):
    """A map's key and value, as C declares them."""

    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class Identity:
    """digest: as program_digest. maps: those of the program and the records beside it."""

    program: str
    digest: str
    constants: Mapping[str, int]
    maps: Mapping[str, MapTypes]

    def types_of(self, name: str) -> MapTypes:
        """Those of the identity's own map, too."""
        if name == MAP_NAME:
            return MapTypes(np.dtype(np.uint32), np.dtype((np.void, len(self.to_bytes()))))
        return self.maps[name]

    def to_bytes(self) -> bytes:
        """JSON."""
        maps = {name: [_text(types.key), _text(types.value)] for name, types in self.maps.items()}
        fields = {"program": self.program, "digest": self.digest, "constants": dict(self.constants), "maps": maps}
        return json.dumps(fields).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Identity | None":
        """The identity that `to_bytes` makes exactly these bytes of; None if another version of glb wrote them in
        another form."""
        try:
            found = json.loads(data)
            maps = {name: MapTypes(*map(_type, types)) for name, types in found["maps"].items()}
            identity = cls(found["program"], found["digest"], found["constants"], maps)
            return identity if identity.to_bytes() == data and identity.has_plain_values() else None
        except _UNREADABLE:
            return None

    def has_plain_values(self) -> bool:
        """Whether the constants are C integers, and no type refers to Python objects."""
        constants = all(type(value) is int and 0 <= value < 1 << 31 for value in self.constants.values())
        return constants and not any(kind.hasobject for types in self.maps.values() for kind in types)


def program_digest(name: str, constants: Mapping[str, int], records: Mapping[str, Type]) -> str:
    """Of all that decides what a program does and what its maps look like: its source, wherever that is installed, the
    constants and the compiler, and the records that userspace keeps beside it. SHA-256, in hex."""
    source = [line for line in read_source(f"xdp_{name}.c").splitlines() if not line.startswith("#line")]
    beside = sorted((record, _text(kind)) for record, kind in records.items())
    return sha256(repr((source, sorted(constants.items()), _compiler(), beside)).encode()).hexdigest()


def create_map(identity: Identity) -> int:
    """A map that holds an identity; returns its descriptor."""
    data = identity.to_bytes()
    fd = libbpf.create_map(MAP_NAME, libbpf.BPF_MAP_TYPE_ARRAY, len(data), 1)
    libbpf.update(fd, _KEY, data)
    return fd


def read_map(fd: int) -> Identity | None:
    """What such a map holds; None if it is a map of another kind, or its content cannot be read.

    The kernel copies a value for each CPU out of a per-CPU map, so the kind is checked before the content is read.
    """
    info = map_info(fd)
    if (info.kind, info.key_size, info.entries) != (libbpf.BPF_MAP_TYPE_ARRAY, len(_KEY), 1):
        return None
    return Identity.from_bytes(libbpf.lookup(fd, _KEY, info.value_size))


def _compiler() -> str:
    try:
        return version("bcc")
    except PackageNotFoundError:  # some package leaves the metadata out; the module itself brings in all of LLVM
        from bcc import __version__

        return str(__version__)


def _text(dtype: Type) -> Any:
    """Such as "<u4", or a list of fields: name, type, and shape where it is an array."""
    return np.lib.format.dtype_to_descr(dtype)


def _type(text: Any) -> Type:
    """The same back out of JSON, which knows no tuples."""
    found: Type = np.dtype(_fields(text))
    return found


def _fields(text: Any) -> Any:
    if isinstance(text, str):
        return text
    return [(name, _fields(kind), *map(tuple, shape)) for name, kind, *shape in text]
