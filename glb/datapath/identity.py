# SPDX-License-Identifier: MIT
"""The identity of a loaded program, kept in a map that is bound to the program.

By it, the next daemon knows without compiling whether the running program is the one that it would load, and the types
of its maps.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from glb.datapath import libbpf
from glb.datapath.kernel import map_info
from glb.datapath.source import read_source, without_line_directives
from glb.datapath.spec import MapTypes, Type, text_of_type, type_of_text
from glb.errors import DatapathError

MAP_NAME = "identity"
_KEY = bytes(4)
# What json and numpy raise for invalid text.
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


@dataclass(frozen=True, slots=True)
class Identity:
    """digest: as program_digest. maps: those of the program and the records beside it."""

    program: str
    digest: str
    constants: Mapping[str, int]
    maps: Mapping[str, MapTypes]

    def types_of(self, name: str) -> MapTypes:
        """The types of a map, including the identity's own."""
        if name == MAP_NAME:
            return MapTypes(np.dtype(np.uint32), np.dtype((np.void, len(self.to_bytes()))))
        return self.maps[name]

    def to_bytes(self) -> bytes:
        """JSON."""
        maps = {name: [text_of_type(types.key), text_of_type(types.value)] for name, types in self.maps.items()}
        fields = {"program": self.program, "digest": self.digest, "constants": dict(self.constants), "maps": maps}
        return json.dumps(fields).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Identity | None":
        """The identity for which `to_bytes` gives exactly these bytes; None if there is none, as for the format of
        another version of glb."""
        try:
            found = json.loads(data)
            maps = {name: MapTypes(*map(type_of_text, types)) for name, types in found["maps"].items()}
            identity = cls(found["program"], found["digest"], found["constants"], maps)
            return identity if identity.to_bytes() == data and identity.has_plain_values() else None
        except _UNREADABLE:
            return None

    def has_plain_values(self) -> bool:
        """Whether the constants are C integers, and no type refers to Python objects."""
        constants = all(type(value) is int and 0 <= value < 1 << 31 for value in self.constants.values())
        return constants and not any(kind.hasobject for types in self.maps.values() for kind in types)


def program_digest(name: str, constants: Mapping[str, int], records: Mapping[str, Type]) -> str:
    """SHA-256, in hex, over all that determines a program and its maps: source (without paths), constants, compiler,
    and the records that userspace keeps beside it."""
    source = without_line_directives(read_source(f"xdp_{name}.c"))
    beside = sorted((record, text_of_type(kind)) for record, kind in records.items())
    return sha256(repr((source, sorted(constants.items()), compiler_version(), beside)).encode()).hexdigest()


def create_map(identity: Identity) -> int:
    """A map that holds an identity; returns its descriptor."""
    data = identity.to_bytes()
    fd = libbpf.create_map(MAP_NAME, libbpf.BPF_MAP_TYPE_ARRAY, len(data), 1)
    libbpf.update(fd, _KEY, data)
    return fd


def read_map(fd: int) -> Identity | None:
    """The identity in such a map; None if it is a map of another kind, or its content cannot be read.

    The kernel copies a value for each CPU out of a per-CPU map, so the kind is checked before the content is read.
    """
    info = map_info(fd)
    if (info.kind, info.key_size, info.entries) != (libbpf.BPF_MAP_TYPE_ARRAY, len(_KEY), 1):
        return None
    return Identity.from_bytes(libbpf.lookup(fd, _KEY, info.value_size))


def compiler_version() -> str:
    """The version of bcc. Raises DatapathError if bcc is missing."""
    try:
        return version("bcc")
    except PackageNotFoundError:  # a package may lack the metadata; importing the module loads LLVM
        pass
    try:
        from bcc import __version__
    except ImportError as error:
        raise DatapathError(
            f"bcc is missing ({error}): install python3-bpfcc; a virtual environment sees it if it was made with "
            "--system-site-packages"
        ) from error
    return str(__version__)
