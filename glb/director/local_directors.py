# SPDX-License-Identifier: MIT
"""The directors of this host that serve from one table file, whichever process they are of, as they are known by their
reports and pins."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from glb.daemon.report import Report, all_reports
from glb.datapath.attachment import is_attached
from glb.datapath.counters import read_pinned_traffic
from glb.errors import GlbError
from glb.table.findings import BindOf

log = logging.getLogger(__name__)


def directors_of(table: Path) -> list[Report]:
    """The reports of those that follow the file, by whatever name, or followed it last."""
    file = os.path.realpath(table)
    return [report for report in all_reports("director") if os.path.realpath(str(report.table_file)) == file]


def left_behind(table: Path) -> list[Report]:
    """Those whose daemon is gone while their datapath goes on: nobody gives it other tables.

    Raises DatapathError or NotAllowedError if a datapath cannot be looked at.
    """
    return [report for report in directors_of(table) if not report.process.is_alive() and is_attached(report.interface)]


def describe_left_behind(reports: list[Report]) -> str:
    """Why nothing should be changed, a line for each."""
    lines = [
        f"{report.interface}: its daemon (pid {report.process.pid}) does not run, but its datapath is attached and "
        f"sends by the tables loaded at {report.loaded}; start the daemon, or take the program off the interface "
        f"(ip link set dev {report.interface} xdp off)"
        for report in reports
    ]
    return "\n".join(["refused, since not every director would follow (--force does it all the same):", *lines])


def unmet_binds(table: Path) -> frozenset[BindOf]:
    """The binds that were added while every director here counted, and for which none has counted a packet.

    None at all if a director's counters cannot be read.
    """
    try:
        each = list(_unmet(table))
    except GlbError as error:
        log.info("the binds' counters are not taken into account: %s", error)
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
