# SPDX-License-Identifier: MIT
"""`glbctl table build`, `show` and `diff`: files of forwarding tables."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from glb.config.json_files import load_tables
from glb.ctl.arguments import TableArgument
from glb.ctl.output import Format, Output, emit, grid, share
from glb.errors import GlbError
from glb.hashing.rendezvous import ROWS
from glb.printable import plural
from glb.table.diff import Diff, DiffAll, diff_all
from glb.table.model import BuiltTable
from glb.table.table_files import load_built, write_glbd

app = typer.Typer(rich_markup_mode="markdown")


@app.command("build")
def build_command(
    source: Annotated[Path, typer.Argument(metavar="SRC.json", help="The tables' source.")],
    binary: Annotated[Path, typer.Argument(metavar="DST.bin", help="The binary to write (GLBD, version 2).")],
    output: Output = Format.TEXT,
) -> None:
    """Build the binary table (GLBD) that glb and GitHub's glb-director read.

    Its rows have two hops, regardless of the depth in the source: the format has no more. The file is replaced
    atomically.

    glbctl table build forwarding_table.json forwarding_table.bin
    """
    tables = load_tables(source)
    write_glbd(binary, tables)
    size = binary.stat().st_size
    names = [table.name for table in tables.tables]
    emit(
        output,
        {"file": str(binary), "bytes": size, "tables": names},
        f"{binary}: {size:,} bytes, {plural(len(names), 'table')} ({', '.join(names)})",
    )


@app.command("show")
def show_command(
    table: TableArgument,
    name: Annotated[str | None, typer.Option("--name", help="Only the table of this name.")] = None,
    rows: Annotated[
        str | None,
        typer.Option("--rows", metavar="N or A-B", help="Also the hops of these rows, 0 to 65535."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Show binds and backends, and each backend's share of new connections.

    glbctl table show forwarding_table.json
    """
    wanted = _row_range(rows)
    facts = [_facts(one, wanted) for one in _named(load_built(table), name, table)]
    emit(output, facts, Group(*(_render(fact) for fact in facts)))


@app.command("diff")
def diff_command(
    old: Annotated[Path, typer.Argument(metavar="A", help="The old file: source or binary.")],
    new: Annotated[Path, typer.Argument(metavar="B", help="The new file: source or binary.")],
    output: Output = Format.TEXT,
) -> None:
    """Compare two files: rows that move, their share of flows, the backends concerned, and what the change would cut.

    glbctl table diff forwarding_table.json forwarding_table.new.json
    """
    result = diff_all(load_built(old), load_built(new))
    emit(output, _diff_facts(result), _render_diff(result))


def _row_range(text: str | None) -> range:
    if text is None:
        return range(0)
    first, _, last = text.partition("-")
    try:
        start, stop = int(first), int(last or first) + 1
    except ValueError:
        raise typer.BadParameter(f'--rows "{text}" is not a row or a range of rows (A-B)') from None
    if not 0 <= start < stop <= ROWS:
        raise typer.BadParameter(f'--rows "{text}": rows are 0 to {ROWS - 1}')
    return range(start, stop)


def _named(tables: tuple[BuiltTable, ...], name: str | None, path: Path) -> list[BuiltTable]:
    chosen = [table for table in tables if name in (None, table.name)]
    if not chosen:
        raise GlbError(f"{path}: no table {name}; its tables: {', '.join(table.name for table in tables)}")
    return chosen


def _facts(table: BuiltTable, rows: range) -> dict[str, Any]:
    first_hops = np.bincount(table.rows[:, 0], minlength=len(table.backends))
    return {
        "table": table.name,
        "hash_key": table.hash_key.hex(),
        "seed": table.seed.hex() if table.seed else None,
        "hops_per_row": table.rows.shape[1],
        "binds": [str(bind) for bind in table.binds],
        "backends": [
            {
                "address": str(backend.address),
                "state": backend.state,
                "healthy": backend.healthy,
                "first_hop_rows": int(first_hops[index]),
            }
            for index, backend in enumerate(table.backends)
        ],
        "rows": {row: [str(hop) for hop in table.hops(row)] for row in rows},
    }


def _render(fact: dict[str, Any]) -> RenderableType:
    backends = grid("backend", "state", "health", "first hop of", "share", numbers=("first hop of", "share"))
    for backend in fact["backends"]:
        count = backend["first_hop_rows"]
        backends.add_row(
            backend["address"],
            backend["state"],
            "healthy" if backend["healthy"] else "unhealthy",
            plural(count, "row"),
            share(count, ROWS),
        )
    parts: list[RenderableType] = [
        Text(f"table {fact['table']}: {ROWS:,} rows of {fact['hops_per_row']} hops", style="bold"),
        *(f"  {bind}" for bind in fact["binds"]),
        backends,
    ]
    if fact["rows"]:
        rows = grid("row", "hops", numbers=("row",))
        for row, hops in fact["rows"].items():
            rows.add_row(str(row), " -> ".join(hops))
        parts.append(rows)
    return Group(*parts, "")


def _diff_facts(result: DiffAll) -> dict[str, Any]:
    return {
        "added": list(result.added),
        "removed": list(result.removed),
        "may_cut_connections": result.may_cut,
        "tables": [_table_diff_facts(table) for table in result.tables],
    }


def _table_diff_facts(table: Diff) -> dict[str, Any]:
    return {
        "table": table.name,
        "rows_moved": table.moved,
        "share_of_flows_moved": table.moved_share,
        "rows_with_other_later_hops": table.later_changed,
        "rows_that_lose_their_first_hop": table.cut,
        "hash_key_changed": table.rehashed,
        "may_cut_connections": table.may_cut,
        "binds_added": [str(bind) for bind in table.binds_added],
        "binds_removed": [str(bind) for bind in table.binds_removed],
        "backends": [
            {
                "address": str(backend.address),
                "rows_before": backend.before,
                "rows_after": backend.after,
                "gained": backend.gained,
                "lost": backend.lost,
            }
            for backend in table.backends
        ],
    }


def _render_diff(result: DiffAll) -> RenderableType:
    parts: list[RenderableType] = [f"table {name}: new" for name in result.added]
    parts += [Text(f"table {name}: gone, with all its connections", style="red") for name in result.removed]
    parts += [_render_table_diff(table) for table in result.tables]
    return Group(*parts)


def _render_table_diff(table: Diff) -> RenderableType:
    parts: list[RenderableType] = [
        Text(f"table {table.name}", style="bold"),
        f"  {table.moved:,} of {ROWS:,} rows change their first hop: {share(table.moved, ROWS)} of new connections",
        f"  {plural(table.later_changed, 'row')} with other further hops",
    ]
    parts += [f"  bind {bind}: new" for bind in table.binds_added]
    parts += [Text(f"  bind {bind}: gone, with its connections", style="red") for bind in table.binds_removed]
    if table.rehashed:
        parts.append(Text("  the hash key changes: flows change rows, and connections are cut", style="red"))
    elif table.cut:
        parts.append(
            Text(
                f"  {plural(table.cut, 'row')} without the old first hop: its connections there are cut",
                style="red",
            )
        )
    changed = [backend for backend in table.backends if backend.gained or backend.lost]
    if changed:
        shares = grid(
            "  backend",
            "first hop of",
            "then",
            "gained",
            "lost",
            numbers=("first hop of", "then", "gained", "lost"),
        )
        for backend in changed:
            shares.add_row(
                f"  {backend.address}",
                f"{backend.before:,}",
                f"{backend.after:,}",
                f"+{backend.gained:,}",
                f"-{backend.lost:,}",
            )
        parts.append(shares)
    return Group(*parts)
