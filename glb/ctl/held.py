# SPDX-License-Identifier: MIT
"""The tables that a datapath goes on with while no daemon runs: which version of the history they are."""

from dataclasses import dataclass
from pathlib import Path

from glb.config.load import read_file
from glb.ctl.which import table_of
from glb.daemon.report import Report
from glb.datapath.held import held_tables
from glb.errors import ConfigError, GlbError, TableError
from glb.history.store import History
from glb.table.digest import digest_of
from glb.table.plan import Basis


@dataclass(frozen=True, slots=True)
class Held:
    """The source of the tables that a datapath holds, and how that is known."""

    source: bytes
    basis: Basis


def held_by(report: Report) -> Held:
    """What the datapath holds that a director's daemon has left.

    Raises GlbError if none is attached, or what it holds is neither a version of the history nor the file.
    """
    digest = held_tables(report.interface)
    instead = "compare with a file by --against FILE"
    if digest is None:
        raise GlbError(
            f"no director runs on this host, and none is attached to {report.interface}: no tables are in force; "
            f"{instead}"
        )
    held = _version(table_of(report), digest) or _file(table_of(report), digest)
    if held is None:
        raise GlbError(
            f"no director runs on this host; the tables that the datapath of {report.interface} holds "
            f"({digest[:12]}) are neither in the history of {report.table_file} nor in that file; {instead}"
        )
    where = f"which the datapath of {report.interface} holds; no daemon runs, so health is as the files say"
    return Held(held.source, Basis(f"{held.basis.what}, {where}", digest))


def _version(table: Path, digest: str) -> Held | None:
    """The newest version with these tables whose source was kept."""
    history = History.of(table)
    for version in history.listing().versions:
        source = history.read(version.number).source if version.digest == digest else None
        if source is not None:
            what = f"version {version.number} of the history ({version.how} by {version.author}, {version.time})"
            return Held(source.encode(), Basis(what, digest))
    return None


def _file(table: Path, digest: str) -> Held | None:
    try:
        source = read_file(table)
        if digest_of(source, str(table)) == digest:
            return Held(source, Basis(f"{table}", digest))
    except (ConfigError, TableError):
        pass
    return None
