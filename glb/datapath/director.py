# SPDX-License-Identifier: MIT
"""The director's datapath: its program, and the forwarding tables in its maps."""

import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import numpy as np

from glb.config.model import DirectorConfig, Echo, Egress, HashFields
from glb.datapath import program as programs
from glb.datapath.cuckoo import arrange
from glb.datapath.generation import MARK, NetworkView, TrafficOwner, assign, content_digest
from glb.datapath.layout import Capacity, Layout, Owner, RowBlock, WideBind, capacity_for
from glb.datapath.maps import Map
from glb.datapath.program import LoadedProgram
from glb.datapath.rcu import wait_for_grace_period
from glb.datapath.tunnel import checksum_without_length, ethernet_word, gue_word, mac_word
from glb.errors import DatapathError
from glb.hashing.rendezvous import ROWS
from glb.hashing.siphash import state_ahead
from glb.network.vlans import Vlan

_GENERATIONS = 2
# The fields before the address in struct wide_key: generation, fragment, protocol, family.
_WIDE_KEY_BITS = 4 * 16
# HASH_* and the flags of struct settings in bpf/director_maps.h.
_HASH_BITS = {"src_addr": 1, "dst_addr": 2, "src_port": 4, "dst_port": 8}
# The capacities that bpf/director_maps.h takes from the loader.
_MACROS = {
    "MAX_SLOTS": "slots",
    "MAX_BACKENDS": "backends",
    "MAX_BINDS": "binds",
    "MAX_WIDE_BINDS": "wide_binds",
    "MAX_RANGES": "ranges",
    "MAX_TRAFFIC": "traffic",
}
_CONTENTS = "contents"
_ANSWER_ECHO, _EGRESS_FIB, _CHOSEN_FIELDS, _WIDE_BINDS = 1, 2, 4, 8
_FRAGMENTS = 0x80  # in the family of a bind's key
_ECN, _DSCP_AND_ECN = 0x03, 0xFF


class DirectorDatapath:
    """A director program whose tables are replaced as a whole, atomically for traffic.

    There are two generations of everything: `write` fills the idle one and switches to it by one write of a word. If it
    fails or the process ends before, the active tables are unchanged. Each generation has a record of its content, by
    which a later daemon can adopt the program.
    """

    def __init__(self, program: LoadedProgram, is_adopted: bool = False) -> None:
        self.program = program
        self.is_adopted = is_adopted
        """Whether the program was already attached."""
        self.capacity = _capacity(program.constants)
        self._views = {name: program.view(name) for name in ("state", "rows", "ranges", "binds")}
        self._contents = program.view(_CONTENTS)[0]["generation"]
        self._wide_keys: list[list[Any]] = [[] for _ in range(_GENERATIONS)]
        for key in program.maps["wide_binds"]:
            self._wide_keys[key["generation"]].append(key)
        self._traffic: Mapping[TrafficOwner, int] = {}
        # The rows in each generation, as far as this process wrote them: for each 65,536 slots, the rows' digest and
        # the number of the part.
        self._held_rows: list[list[tuple[str, int] | None]] = [
            [None] * (self.capacity.slots // ROWS) for _ in range(_GENERATIONS)
        ]
        # What each generation's backends were written from by this process; a change of health writes none of them.
        self._held_backends: list[object] = [None] * _GENERATIONS
        self._ahead: list[RowBlock] = []  # rows in use that the idle generation may not hold yet

    @classmethod
    def load(cls, layout: Layout) -> "DirectorDatapath":
        """Load the program, not attached yet and without tables, with room for the layout."""
        constants = constants_for(capacity_for(layout))
        return cls(programs.load("director", constants, _records(constants)))

    @classmethod
    def adopt(cls, fd: int) -> "DirectorDatapath | None":
        """Adopt a running program with the content of its maps. fd: its descriptor, which is closed with the result, or
        at once if `load` would load another program; then the result is None."""
        program = programs.adopt(fd, "director", _MACROS, _records)
        if program is None:
            return None
        wait_for_grace_period()  # the last writer may have died before the grace period ended
        return cls(program, is_adopted=True)

    def write(self, layout: Layout, config: DirectorConfig, network: NetworkView, tables: str = "") -> bool:
        """Replace the tables in force by the layout. Returns False if the maps already had exactly this content.

        tables: the digest of the tables of the layout, for `tables_digest`.

        Raises DatapathError if it does not fit, if the kernel refuses, or without memory; the old tables stay in force.
        """
        try:
            return self._write(layout, config, network, tables)
        except MemoryError as error:
            raise DatapathError(
                f"no memory to write {len(layout.tables):,} tables; the old ones stay in force"
            ) from error

    def _write(self, layout: Layout, config: DirectorConfig, network: NetworkView, tables: str) -> bool:
        if not self.capacity.holds(layout):
            raise DatapathError("the tables do not fit into the maps of the loaded program: load it again")
        vlans_written = self._write_vlans(network.vlans)
        state = self._views["state"][0]
        in_use = int(state["generation"])
        digest = content_digest(layout, config, network)
        assignment = assign(_counted(layout), self._contents[in_use]["owners"])
        self._traffic = assignment.entries
        if self._contents[in_use]["digest"].tobytes() == digest:
            self._contents[in_use]["tables"] = tables.encode()
            self._note_rows(layout, in_use)
            return vlans_written
        idle = (in_use + 1) % _GENERATIONS
        self._contents[idle]["digest"] = bytes(len(digest))  # until it is complete
        self._delete_wide_binds(idle)
        self._clear_traffic(assignment.fresh)
        self._fill(idle, layout, config, network)
        assignment.mark(self._contents[idle]["owners"])
        self._contents[idle]["tables"] = tables.encode()
        self._contents[idle]["digest"] = digest
        wait_for_grace_period()  # and a memory barrier: a program that reads the word below reads all of the above
        state["generation"] = idle
        wait_for_grace_period()
        self._delete_wide_binds(in_use)
        self._note_rows(layout, idle)
        return True

    def copy_ahead(self, blocks: int) -> bool:
        """Write some of the rows in use into the idle generation, so that the next `write` finds them there.

        blocks: how many tables' rows at most, of 512 KiB each or 1 MiB. Returns whether there are more.
        """
        now, self._ahead = self._ahead[:blocks], self._ahead[blocks:]
        idle = (int(self._views["state"][0]["generation"]) + 1) % _GENERATIONS
        if now:
            self._contents[idle]["digest"] = bytes(self._contents[idle]["digest"].nbytes)  # no longer complete
        for block in now:
            self._write_block(block, idle)
        return bool(self._ahead)

    @property
    def tables_digest(self) -> str:
        """The digest of the active tables, as given to `write` by this or an earlier process."""
        in_use = int(self._views["state"][0]["generation"])
        return bytes(self._contents[in_use]["tables"]).decode()

    def traffic_entries(self) -> Mapping[TrafficOwner, int]:
        """The owners' entries in the map `traffic`."""
        return self._traffic

    def close(self) -> None:
        """Close the program; what is attached or pinned stays."""
        self.program.close()

    def _write_vlans(self, vlans: Mapping[int, Vlan]) -> bool:
        """Write changed entries. Returns whether there were any."""
        table = self.program.maps["vlans"]
        there = {int(key): table[key] for key in table}
        wanted = {index: _vlan_entry(table, vlan) for index, vlan in vlans.items()}
        for index in there.keys() - wanted.keys():
            del table[index]
        changed = [index for index in wanted if index not in there or there[index].tobytes() != wanted[index].tobytes()]
        for index in changed:
            table[index] = wanted[index]
        return bool(changed) or bool(there.keys() - wanted.keys())

    def _clear_traffic(self, entries: Iterable[int]) -> None:
        counts = self.program.maps["traffic"]
        for entry in entries:
            counts[entry] = bytes(counts.value.itemsize)

    def _fill(self, generation: int, layout: Layout, config: DirectorConfig, network: NetworkView) -> None:
        settings = self._views["state"][0]["settings"][generation]
        self._write_backends(layout, generation, config, network)
        self._write_rows(layout, generation)
        settings["first_bind"] = generation * self.capacity.binds
        settings["bind_multiplier"] = self._write_binds(layout, generation)
        _write_settings(settings, layout, config, network)
        self._insert_wide_binds(layout, generation)

    def _write_backends(self, layout: Layout, generation: int, config: DirectorConfig, network: NetworkView) -> None:
        start = generation * self.capacity.backends
        state = self._views["state"][0]
        entries = state["backends"].view(state["backend"].dtype)[start : start + len(layout.backends)]
        hops = _hops_in_header(layout, config)
        content = (layout.backends, config, network, self._traffic, hops)
        if self._held_backends[generation] == content:
            return
        self._held_backends[generation] = None  # until they are complete
        for entry, backend in zip(entries, layout.backends, strict=True):
            next_hop = network.next_hops.get(backend.address)
            entry["macs"] = ethernet_word(next_hop, network.mac) if next_hop else 0
            entry["source"] = _words(config.outbound_src_ip)[0]
            entry["address"] = _words(backend.address)[0]
            entry["gue"] = gue_word(hops[backend.table_name])
            entry["checksum"] = checksum_without_length(config.outbound_src_ip, backend.address)
            entry["mtu"] = network.path_mtu(backend.address)
            entry["traffic"] = self._traffic["backend", backend.table_name, str(backend.address)]
        self._held_backends[generation] = content

    def _write_rows(self, layout: Layout, generation: int) -> None:
        self._write_blocks(layout, generation)
        first_bind = _GENERATIONS * self.capacity.binds + generation * self.capacity.ranges
        wide_owners: dict[int, int] = {}
        ranges = self._part("ranges", self.capacity.ranges, generation, layout.num_ranges)
        for entry, ports in zip(ranges, (r for wide in layout.wide for r in wide.ranges), strict=True):
            entry["port_start"], entry["port_end"] = ports.start, ports.end
            entry["bind"] = first_bind + wide_owners.setdefault(ports.owner, len(wide_owners))
        binds = self._views["binds"][first_bind : first_bind + len(wide_owners)]
        for entry, owner in zip(binds, wide_owners, strict=True):
            self._fill_bind(entry, layout, layout.owners[owner], generation)

    def _write_blocks(self, layout: Layout, generation: int) -> None:
        """Write the rows that this generation does not have yet, as far as this process knows."""
        for block in layout.blocks:
            self._write_block(block, generation)

    def _write_block(self, block: RowBlock, generation: int) -> None:
        held, (place, content) = self._held_rows[generation], _place_of(block)
        if held[place] != content:
            held[place] = [None] * block.slots_per_row  # until it is complete
            slots = self._part("rows", self.capacity.slots, generation, block.first_slot + block.num_slots)["backend"]
            block.fill(slots[block.first_slot :])
            held[place] = content

    def _note_rows(self, layout: Layout, in_use: int) -> None:
        """The generation in use holds the layout's rows, whichever process wrote them."""
        held, others = self._held_rows[in_use], self._held_rows[(in_use + 1) % _GENERATIONS]
        self._ahead = []
        for block in layout.blocks:
            place, content = _place_of(block)
            held[place] = content
            if others[place] != content:
                self._ahead.append(block)

    def _part(self, name: str, capacity: int, generation: int, length: int) -> Any:
        """The first `length` entries of a generation's share of an array."""
        start = generation * capacity
        return self._views[name][start : start + length]

    def _fill_bind(self, bind: Any, layout: Layout, owner: Owner, generation: int) -> None:
        bind["traffic"] = self._traffic["bind", owner.table_name, owner.label]
        if owner.table is None:
            bind["hops"] = 0
            return
        place = layout.tables[owner.table]
        bind["hash_state"] = state_ahead(place.hash_key)
        bind["rows"] = (generation * self.capacity.slots + place.first_slot) // ROWS
        bind["first_backend"] = generation * self.capacity.backends + place.first_backend
        bind["hops"] = place.hops

    def _write_binds(self, layout: Layout, generation: int) -> int:
        """Write the binds of one address and one port. Returns the multiplier of the hash that finds them."""
        entries = np.zeros(len(layout.exact), dtype=self._views["binds"].dtype)
        for entry, exact in zip(entries, layout.exact, strict=True):
            key = entry["key"]
            key["address"] = _words(exact.address)
            key["port"] = socket.htons(exact.port)
            key["protocol"] = exact.protocol
            key["family"] = exact.address.version | _FRAGMENTS * exact.fragment
            self._fill_bind(entry, layout, layout.owners[exact.owner], generation)
        multiplier, places = arrange(_key_words(entries["key"]), self.capacity.binds)
        part = self._part("binds", self.capacity.binds, generation, self.capacity.binds)
        part[:] = 0
        part[places >= 0] = entries[places[places >= 0]]
        return multiplier

    def _insert_wide_binds(self, layout: Layout, generation: int) -> None:
        """Insert the binds of networks and of several ports; all are removed again if one fails."""
        wide_binds = self.program.maps["wide_binds"]
        first_range = generation * self.capacity.ranges
        try:
            for wide in layout.wide:
                key = _wide_key(wide_binds, wide, generation)
                wide_binds[key] = (first_range, len(wide.ranges))
                self._wide_keys[generation].append(key)
                first_range += len(wide.ranges)
        except DatapathError as error:
            self._delete_wide_binds(generation)
            raise DatapathError(
                f"insert of the bind to {wide.network}: {error}; the old tables stay in force"
            ) from error

    def _delete_wide_binds(self, generation: int) -> None:
        """Delete those of an idle generation."""
        wide_binds = self.program.maps["wide_binds"]
        keys = self._wide_keys[generation]
        while keys:
            del wide_binds[keys[-1]]
            keys.pop()


def _place_of(block: RowBlock) -> tuple[slice, list[tuple[str, int] | None]]:
    """Where a generation's `_held_rows` have a block, and what they have of it."""
    first = block.first_slot // ROWS
    return slice(first, first + block.slots_per_row), [(block.digest, part) for part in range(block.slots_per_row)]


def constants_for(capacity: Capacity) -> dict[str, int]:
    """The macros that a program of this capacity is compiled with."""
    return {macro: getattr(capacity, field) for macro, field in _MACROS.items()}


def _capacity(constants: Mapping[str, int]) -> Capacity:
    return Capacity(**{field: constants[macro] for macro, field in _MACROS.items()})


def _records(constants: Mapping[str, int]) -> programs.Records:
    """For each generation: the digest of its content (zero while it is being written), that of its tables as hex
    digits, and the owner of each entry of `traffic`."""
    generation = np.dtype(
        [("digest", np.void, 32), ("tables", np.bytes_, 64), ("owners", MARK, constants["MAX_TRAFFIC"])]
    )
    return {_CONTENTS: np.dtype([("generation", generation, _GENERATIONS)])}


def _vlan_entry(table: Map, vlan: Vlan) -> Any:
    entry = np.zeros((), dtype=table.value)
    entry["ifindex"] = vlan.index
    entry["num_tags"] = len(vlan.tags)
    for number, (protocol, identifier) in enumerate(vlan.tags):
        entry["protocol"][number] = socket.htons(protocol)
        entry["control"][number] = socket.htons(identifier)
    return entry


def _wide_key(table: Map, wide: WideBind, generation: int) -> Any:
    key = np.zeros((), dtype=table.key)
    key["prefix_len"] = _WIDE_KEY_BITS + wide.network.prefixlen
    key["generation"] = generation
    key["fragment"] = wide.fragment
    key["protocol"] = wide.protocol
    key["family"] = wide.network.version
    key["address"] = _words(wide.network.network_address)
    return key


def _key_words(keys: Any) -> Any:
    """Each key as two words of address and one of the other fields: (n, 3)."""
    words = np.ascontiguousarray(keys).view(np.uint32).reshape(-1, 5).astype(np.uint64)
    return np.stack(
        (words[:, 0] | words[:, 1] << np.uint64(32), words[:, 2] | words[:, 3] << np.uint64(32), words[:, 4]), axis=1
    )


def _hops_in_header(layout: Layout, config: DirectorConfig) -> dict[str, int]:
    """The number of hops of each table's packets, the first included."""
    rows = 2 if config.alt_hash_fields else 1
    return {table.name: rows * table.hops for table in layout.tables}


def _counted(layout: Layout) -> list[TrafficOwner]:
    return [
        *(("bind", owner.table_name, owner.label) for owner in layout.owners),
        *(("backend", backend.table_name, str(backend.address)) for backend in layout.backends),
    ]


def _write_settings(settings: Any, layout: Layout, config: DirectorConfig, network: NetworkView) -> None:
    settings["source"] = _words(config.outbound_src_ip)[0]
    settings["mac"] = mac_word(network.mac)
    settings["mtu"] = min((network.path_mtu(backend.address) for backend in layout.backends), default=network.mtu)
    settings["tos_mask"] = _DSCP_AND_ECN if config.copy_dscp else _ECN
    settings["hash_fields"] = _hash_bits(config.hash_fields)
    settings["alt_hash_fields"] = _hash_bits(config.alt_hash_fields) if config.alt_hash_fields else 0
    settings["flags"] = (
        _ANSWER_ECHO * (config.icmp_echo is Echo.ANSWER)
        | _EGRESS_FIB * (config.egress is Egress.FIB)
        | _CHOSEN_FIELDS * _has_chosen_fields(config)
        | _WIDE_BINDS * bool(layout.wide)
    )


def _has_chosen_fields(config: DirectorConfig) -> bool:
    return bool(config.alt_hash_fields) or _hash_bits(config.hash_fields) != _HASH_BITS["src_addr"]


def _hash_bits(fields: HashFields) -> int:
    return sum(bit for name, bit in _HASH_BITS.items() if getattr(fields, name))


def _words(address: IPv4Address | IPv6Address) -> Any:
    """Four words in network order, an IPv4 address in the first."""
    return np.frombuffer(address.packed.ljust(16, b"\0"), dtype=np.uint32)
