# SPDX-License-Identifier: MIT
"""Checks the director's two files against each other and against this host."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from glb.config.host import Host, Link
from glb.config.judge_director import judge_director
from glb.config.judge_tables import Tables, judge_tables
from glb.config.model import DirectorConfig
from glb.config.note import warnings_of
from glb.errors import NetworkError
from glb.network.host_addresses import host_addresses
from glb.network.interface import find_interface


def judge(
    config: DirectorConfig, config_file: Path, tables: Tables, table_file: Path, host: Host | None
) -> tuple[str, ...]:
    """The warnings about both files. Raises ConfigError with all errors.

    host: the host that the director runs on; None if unknown.
    """
    about_config, about_tables = judge_director(config, tables, host), judge_tables(tables, config, host)
    return warnings_of((str(config_file), about_config), (str(table_file), about_tables))


def this_host(interfaces: Sequence[str]) -> Host:
    """The addresses and links of this host. interfaces: the director's; a missing interface is left out.

    Raises NetworkError.
    """
    found = host_addresses()
    links: dict[str, Link] = {}
    for name in interfaces:
        with suppress(NetworkError):
            interface = find_interface(name)
            links[name] = Link(interface.mac, interface.mtu)
    return Host(
        addresses={entry.address: entry.interface for entry in found},
        own={entry.address: entry.interface for entry in found if entry.is_own},
        broadcasts={entry.broadcast: entry.interface for entry in found if entry.broadcast is not None},
        links=links,
    )
