# SPDX-License-Identifier: MIT
"""Test packets run through the attached program, without a network, and compared with the tables."""

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

_MOST = 100  # packets, a bound on the time with thousands of binds
_CLIENT_PORT = 4711


def probe_tables(interface: Interface, table: Path, config: DirectorConfig) -> tuple[int, tuple[str, ...]]:
    """The number of test packets, and the deviations. The packets count in the program's statistics.

    The hops are compared without their order, which depends on health and may differ from the file.
    """
    if not (pin_dir(interface.name) / "program").exists():
        return 0, ()
    tables = load_built(table)
    flows = list(_flows(tables))[:_MOST]
    deviations = (_deviation(interface, flow, proto, tables, config) for flow, proto in flows)
    return len(flows), tuple(deviation for deviation in deviations if deviation)


def _flows(tables: tuple[BuiltTable, ...]) -> Iterator[tuple[Flow, Proto]]:
    """A flow for each bind."""
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
