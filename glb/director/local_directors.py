# SPDX-License-Identifier: MIT
"""The directors of this host that follow one table file, of any process, by their status files and pins."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from glb.daemon.report import Report, local_reports
from glb.datapath.attachment import is_attached
from glb.datapath.counters import read_pinned_traffic
from glb.errors import GlbError
from glb.table.findings import BindOf

log = logging.getLogger(__name__)


def directors_of(table: Path) -> list[Report]:
    """The status of each director that follows the file, or followed it last. The file may have several names."""
    file = os.path.realpath(table)
    return [report for report in local_reports("director") if os.path.realpath(str(report.table_file)) == file]


def left_behind(table: Path) -> list[Report]:
    """The directors whose datapath is attached without a daemon, so that they do not load other tables.

    Raises DatapathError or NotAllowedError if a datapath cannot be examined.
    """
    return [report for report in directors_of(table) if not report.process.is_alive() and is_attached(report.interface)]


def describe_left_behind(reports: list[Report]) -> str:
    """Why a change is refused, with a line for each director."""
    lines = [
        f"{report.interface}: its daemon (pid {report.process.pid}) is not running, but its datapath is attached and "
        f"uses the tables loaded at {report.loaded}; start the daemon, or detach the program from the interface "
        f"(ip link set dev {report.interface} xdp off)"
        for report in reports
    ]
    return "\n".join(["refused, since not every director would follow (override with --force):", *lines])


def unmet_binds(table: Path) -> frozenset[BindOf]:
    """The recently added binds for which no director of this host has counted a packet.

    Empty if the counters of a director cannot be read.
    """
    try:
        each = list(_unmet(table))
    except GlbError as error:
        log.info("the counters of binds are ignored: %s", error)
        return frozenset()
    return frozenset.intersection(*each) if each else frozenset()


def _unmet(table: Path) -> Iterator[frozenset[BindOf]]:
    for report in directors_of(table):
        if not is_attached(report.interface):
            continue
        new = set(report.new_binds)
        entries = {(kind, name, bind): entry for kind, name, bind, entry in report.traffic if kind == "bind"}
        entries = {owner: entry for owner, entry in entries.items() if owner[1:] in new}
        counts = read_pinned_traffic(report.interface, entries) if entries else {}
        yield frozenset(owner[1:] for owner, (packets, _) in counts.items() if not packets)
