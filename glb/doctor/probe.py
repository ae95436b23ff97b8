# SPDX-License-Identifier: MIT
"""Packets run through the attached program, without any network, and compared with what the tables say."""

from collections.abc import Iterator
from pathlib import Path

from glb.config.model import DirectorConfig, Proto
from glb.datapath.pins import pin_dir
from glb.hashing.flow import Flow
from glb.network.interface import Interface
from glb.network.unused import unused_addresses
from glb.probe.director import probe_director
from glb.table.model import BuiltTable
from glb.table.table_files import load_built

_MOST = 100  # packets, so that thousands of binds do not take long
_CLIENT_PORT = 4711


def probe_tables(interface: Interface, table: Path, config: DirectorConfig) -> tuple[int, tuple[str, ...]]:
    """How many packets were tried, and what was otherwise. They are counted in the program's statistics.

    Only who is in a row is compared, not the order: that follows health, of which the file may not know.
    """
    if not (pin_dir(interface.name) / "program").exists():
        return 0, ()
    tables = load_built(table)
    flows = list(_flows(tables))[:_MOST]
    deviations = (_deviation(interface, flow, proto, tables, config) for flow, proto in flows)
    return len(flows), tuple(deviation for deviation in deviations if deviation)


def _flows(tables: tuple[BuiltTable, ...]) -> Iterator[tuple[Flow, Proto]]:
    """One of each bind."""
    binds = [bind for table in tables for bind in table.binds]
    served = [bind.network for bind in binds]
    clients = {family: unused_addresses(family, 1, served)[0] for family in {bind.family for bind in binds}}
    for bind in binds:
        client = clients[bind.family]
        yield Flow(client, bind.network.network_address, _CLIENT_PORT, bind.port_start), bind.proto


def _deviation(
    interface: Interface, flow: Flow, proto: Proto, tables: tuple[BuiltTable, ...], config: DirectorConfig
) -> str | None:
    probe = probe_director(interface.name, tables, config, flow, proto)
    if probe.agrees:
        return None
    sent = f"goes to {', '.join(probe.sent)}" if probe.sent else f"is not tunnelled ({probe.action})"
    return f"{flow.src} to {flow.dst} port {flow.dst_port}/{proto} {sent}"
