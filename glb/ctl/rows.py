# SPDX-License-Identifier: MIT
"""Which bind and row a traced packet belongs to, by the files that its director serves from."""

from ipaddress import ip_address
from pathlib import Path

from glb.capture.story import Story
from glb.capture.told import Inner, Row
from glb.config.model import Proto
from glb.daemon.report import read_report, report_path
from glb.director.sources import Loaded, Sources, read
from glb.hashing.flow import Flow
from glb.table.lookup import ICMP, lookup


class TableRows:
    """Looks rows up in the tables of each director's own files, read once."""

    def __init__(self) -> None:
        self._loaded: dict[str, Loaded | None] = {}

    def of(self, story: Story) -> Row | None:
        """None for a proxy's visit, and for a packet that matches no bind."""
        visit = story.visit
        if visit.program != "director" or story.inner is None or story.inner.protocol == "other":
            return None
        if visit.interface not in self._loaded:
            self._loaded[visit.interface] = _files_of(visit.interface)
        loaded = self._loaded[visit.interface]
        return _row(loaded, story.inner) if loaded else None


def _files_of(interface: str) -> Loaded | None:
    """None where no report tells the files: a datapath that its daemon has left."""
    path = report_path(interface)
    if not path.exists():
        return None
    report = read_report(path)
    return read(Sources(Path(str(report.config_file)), Path(str(report.table_file))))


def _row(loaded: Loaded, inner: Inner) -> Row | None:
    config = loaded.config
    flow = Flow(ip_address(inner.src), ip_address(inner.dst), inner.src_port or 0, inner.dst_port or 0)
    found = lookup(
        loaded.tables,
        flow,
        ICMP if inner.protocol == ICMP else Proto(inner.protocol),
        config.hash_fields,
        config.alt_hash_fields,
    )
    return Row(found.table, str(found.bind), found.row) if found else None
