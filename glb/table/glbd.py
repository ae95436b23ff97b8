# SPDX-License-Identifier: MIT
"""The binary forwarding table of GitHub's director: "GLBD", version 2.

Its rows have two hops, by the rule for depth 2 in `rows.py`, whatever the depth of the source. The backend records
are the source's backends in its order, inactive ones included. Limits of the format:

- draining and inactive are the same state, which is read as draining;
- every row has two hops: a table with one backend names it twice, which is read as NO_HOP;
- there are no names and seeds: tables are read as "table0", "table1", without a seed;
- there are no weights and zones, but the rows result from them.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_interface

import numpy as np
from pydantic_core import PydanticCustomError

from glb.config import values
from glb.config.check import find_problems
from glb.config.field import FieldPath, Problem, raise_any
from glb.config.model import Address, Backend, Bind, ForwardingTables, Proto, State, Table, default_name
from glb.config.parse import GLBD_MAGIC
from glb.errors import ConfigError, TableError
from glb.hashing.rendezvous import ROWS
from glb.printable import plural
from glb.table.model import NO_HOP, BuiltTable, Rows, narrow
from glb.table.rows import build_rows

VERSION = 2
MAX_RECORDS = 256
KEY_BYTES = 16
_NO_SEED = bytes(KEY_BYTES)

HEADER = struct.Struct("<4s5I")
COUNT = struct.Struct("<I")
BACKEND = struct.Struct("<I16sHH")
BIND = struct.Struct("<I16sHHHBB")
ROW_BYTES = 8
BACKENDS_BYTES = COUNT.size + MAX_RECORDS * BACKEND.size
BINDS_BYTES = COUNT.size + MAX_RECORDS * BIND.size
TABLE_BYTES = BACKENDS_BYTES + BINDS_BYTES + KEY_BYTES + ROWS * ROW_BYTES

FAMILIES: dict[int, type[IPv4Address] | type[IPv6Address]] = {1: IPv4Address, 2: IPv6Address}
STATES = {State.FILLING: 0, State.ACTIVE: 1, State.DRAINING: 2, State.INACTIVE: 2}
READ_STATES = {0: State.FILLING, 1: State.ACTIVE, 2: State.DRAINING}
READ_PROTOS = {proto.number: proto for proto in Proto}


def encode(tables: ForwardingTables) -> bytes:
    """The binary's bytes. Raises TableError if a table has more records than the format holds."""
    header = HEADER.pack(GLBD_MAGIC, VERSION, len(tables.tables), ROWS, MAX_RECORDS, MAX_RECORDS)
    return header + b"".join(_encode_table(table) for table in tables.tables)


def decode(data: bytes, name: str) -> tuple[BuiltTable, ...]:
    """The tables of a binary; `name` is the file's, for the message. Raises TableError."""
    try:
        tables = tuple(_decode_tables(data))
    except _FormatError as error:
        raise TableError(f"{name}: {error}") from None
    try:
        raise_any(name, _problems(tables))
    except ConfigError as error:
        raise TableError(str(error)) from None
    return tables


class _FormatError(Exception):
    """A fault in a binary, with its position; `decode` adds the file."""


def _problems(tables: Sequence[BuiltTable]) -> Iterator[Problem]:
    """The errors of a JSON source with the same values, with the fields of JSON."""
    for index, table in enumerate(tables):
        for position, backend in enumerate(table.backends):
            yield from _value_problem(
                ("tables", index, "backends", position, "ip"), values.unicast, str(backend.address)
            )
        for position, bind in enumerate(table.binds):
            place = ("tables", index, "binds", position)
            yield from _value_problem((*place, "ip"), values.network, str(bind.network))
    sources = (Table(table.name, table.hash_key, _NO_SEED, table.binds, table.backends) for table in tables)
    yield from find_problems(ForwardingTables(tuple(sources)))


def _value_problem(place: FieldPath, check: Callable[[object], object], value: object) -> Iterator[Problem]:
    try:
        check(value)
    except PydanticCustomError as error:
        yield place, error.message()


def _encode_table(table: Table) -> bytes:
    for kind, records in (("backends", table.backends), ("binds", table.binds)):
        if len(records) > MAX_RECORDS:
            raise TableError(
                f'table "{table.name}": {len(records)} {kind}; the binary format holds at most {MAX_RECORDS}'
            )
    return b"".join(
        (
            _records(BACKENDS_BYTES, [_encode_backend(backend) for backend in table.backends]),
            _records(BINDS_BYTES, [_encode_bind(bind) for bind in table.binds]),
            table.hash_key,
            _encode_rows(build_rows(table.backends, table.seed, 2)),
        )
    )


def _records(size: int, records: Sequence[bytes]) -> bytes:
    return (COUNT.pack(len(records)) + b"".join(records)).ljust(size, b"\0")


def _family(address: Address) -> int:
    return 1 if address.version == 4 else 2


def _encode_backend(backend: Backend) -> bytes:
    return BACKEND.pack(_family(backend.address), backend.address.packed, STATES[backend.state], int(backend.healthy))


def _encode_bind(bind: Bind) -> bytes:
    address, bits = bind.address or bind.network.network_address, bind.network.prefixlen
    return BIND.pack(_family(address), address.packed, bits, bind.port_start, bind.port_end, bind.proto.number, 0)


def _encode_rows(rows: Rows) -> bytes:
    primary, secondary = rows.astype("<u4").T
    secondary = np.where(secondary == NO_HOP, primary, secondary)
    return np.stack((primary, secondary), axis=1).astype("<u4").tobytes()


def _decode_tables(data: bytes) -> Iterator[BuiltTable]:
    num_tables = _decode_header(data)
    expected = HEADER.size + num_tables * TABLE_BYTES
    if len(data) != expected:
        fault = "truncated" if len(data) < expected else "bytes are left over"
        raise _FormatError(f"{fault}: {plural(num_tables, 'table')}: {expected} bytes, the file has {len(data)}")
    for index in range(num_tables):
        start = HEADER.size + index * TABLE_BYTES
        yield _decode_table(data[start : start + TABLE_BYTES], index)


def _decode_header(data: bytes) -> int:
    """Returns the number of tables."""
    if not data.startswith(GLBD_MAGIC):
        raise _FormatError(f"begins with {data[:4]!r}, not with {GLBD_MAGIC!r}")
    if len(data) < HEADER.size:
        raise _FormatError(f"truncated: the header takes {HEADER.size} bytes, the file has {len(data)}")
    _, version, num_tables, rows, backends, binds = HEADER.unpack_from(data)
    for what, value, expected in (
        ("version", version, VERSION),
        ("table_entries", rows, ROWS),
        ("max_num_backends", backends, MAX_RECORDS),
        ("max_num_binds", binds, MAX_RECORDS),
    ):
        if value != expected:
            raise _FormatError(f"{what} is {value}, not {expected}")
    if not num_tables:
        raise _FormatError("num_tables is 0; without a table there is nothing to forward")
    return int(num_tables)


def _decode_table(data: bytes, index: int) -> BuiltTable:
    where = f"table {index}"
    backends = tuple(
        _decode_backend(record, f"{where}: backend record {i}")
        for i, record in enumerate(_split(data[:BACKENDS_BYTES], BACKEND.size, f"{where}: backend"))
    )
    data = data[BACKENDS_BYTES:]
    binds = tuple(
        _decode_bind(record, f"{where}: bind record {i}")
        for i, record in enumerate(_split(data[:BINDS_BYTES], BIND.size, f"{where}: bind"))
    )
    data = data[BINDS_BYTES:]
    rows = _decode_rows(data[KEY_BYTES:], len(backends), where)
    return BuiltTable(default_name(index), data[:KEY_BYTES], None, binds, backends, rows)


def _split(data: bytes, size: int, where: str) -> Iterator[bytes]:
    """The records in use, of `size` bytes each."""
    (count,) = COUNT.unpack_from(data)
    if not 1 <= count <= MAX_RECORDS:
        raise _FormatError(f"{where} count is {count}, not 1 to {MAX_RECORDS}")
    end = COUNT.size + count * size
    if any(data[end:]):
        raise _FormatError(f"{where} records behind the first {count} are not zero")
    return (data[start : start + size] for start in range(COUNT.size, end, size))


def _decode_address(family: int, data: bytes, where: str) -> Address:
    if family not in FAMILIES:
        raise _FormatError(f"{where}: family {family} is not 1 (IPv4) or 2 (IPv6)")
    kind = FAMILIES[family]
    length = 4 if kind is IPv4Address else 16
    if any(data[length:]):
        raise _FormatError(f"{where}: the 12 bytes behind the IPv4 address are not zero")
    return kind(data[:length])


def _decode_backend(record: bytes, where: str) -> Backend:
    family, packed, state, healthy = BACKEND.unpack(record)
    address = _decode_address(family, packed, where)
    if state not in READ_STATES:
        raise _FormatError(f"{where}: state {state} is not 0 (filling), 1 (active) or 2 (draining)")
    if healthy not in (0, 1):
        raise _FormatError(f"{where}: healthy {healthy} is not 0 (down) or 1 (up)")
    return Backend(address, READ_STATES[state], healthy == 1)


def _decode_bind(record: bytes, where: str) -> Bind:
    family, packed, bits, port_start, port_end, proto, reserved = BIND.unpack(record)
    address = _decode_address(family, packed, where)
    if bits > address.max_prefixlen:
        raise _FormatError(f"{where}: prefix bits {bits} are more than {address.max_prefixlen}")
    if port_start > port_end:
        raise _FormatError(f"{where}: port_start {port_start} is above port_end {port_end}")
    if proto not in READ_PROTOS:
        raise _FormatError(f"{where}: protocol {proto} is not 6 (TCP) or 17 (UDP)")
    if reserved:
        raise _FormatError(f"{where}: the last byte is {reserved}, not 0")
    return Bind.at(ip_interface((address.packed, bits)), READ_PROTOS[proto], port_start, port_end)


def _decode_rows(data: bytes, num_backends: int, where: str) -> Rows:
    pairs = np.frombuffer(data, "<u4").reshape(ROWS, 2)
    beyond = np.flatnonzero((pairs >= num_backends).any(axis=1))
    if beyond.size:
        row = int(beyond[0])
        raise _FormatError(
            f"{where}: row {row} names backend {pairs[row].max()}, but there are only {num_backends} records"
        )
    rows = pairs.astype(np.uint16)
    alone = rows[:, 0] == rows[:, 1]
    if not alone.any():
        return narrow(rows, num_backends)
    rows[alone, 1] = NO_HOP
    return rows
