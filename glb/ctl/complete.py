# SPDX-License-Identifier: MIT
"""Completions for the shell, from this host's status files, without a request to a daemon.

A completion that fails would write into the line that the user types, so that errors mean no offers.
"""

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from glb.daemon.report import local_reports
from glb.explain.texts import texts


def tables(incomplete: str) -> list[str]:
    """The tables that directors here have loaded."""
    return _matching(
        lambda: (table.name for report in local_reports("director") for table in report.tables), incomplete
    )


def interfaces(incomplete: str) -> list[str]:
    """The interfaces of glb's daemons; without a daemon, all of this host."""
    return _matching(lambda: [report.interface for report in local_reports()], incomplete) or host_interfaces(
        incomplete
    )


def host_interfaces(incomplete: str) -> list[str]:
    """All interfaces of this host's network namespace."""
    return _matching(lambda: (name for _, name in socket.if_nameindex()), incomplete)


def verdicts(incomplete: str) -> list[str]:
    """The verdicts and warnings that `glbctl explain` knows."""
    return _matching(lambda: (text.name for text in texts()), incomplete)


def backends(ctx: typer.Context, incomplete: str) -> list[str]:
    """The backends of the table on the command line; without one, of all tables."""
    wanted = _words(ctx)

    def find() -> Iterable[str]:
        loaded = [(table, report) for report in local_reports("director") for table in report.tables]
        meant = [table for table, report in loaded if {table.name, str(report.table_file)} & wanted]
        return (address for table in meant or [table for table, _ in loaded] for address in table.backends)

    return _matching(find, incomplete)


def tables_and_files(incomplete: str) -> list[str]:
    """The loaded tables, and files, for an argument that accepts either."""
    return [*tables(incomplete), *_matching(lambda: _files(incomplete), incomplete)]


def _files(incomplete: str) -> list[str]:
    head, slash, start = incomplete.rpartition("/")
    found = sorted(Path(head + slash or ".").iterdir())
    return [
        f"{head}{slash}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if path.name.startswith(start) and (start or not path.name.startswith("."))
    ]


def _words(ctx: typer.Context) -> set[str]:
    values: list[Any] = [ctx.params.get("table"), ctx.params.get("path")]
    return {str(value) for value in values if value is not None}


def _matching(find: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    """The words with the incomplete word as prefix, in order, without duplicates."""
    try:
        return list(dict.fromkeys(word for word in find() if word.startswith(incomplete)))
    except Exception:
        return []
