# SPDX-License-Identifier: MIT
"""`glbctl simulate`: the effect of events on connections, with glb and other load balancers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.progress import Progress
from rich.text import Text

from glb.ctl.output import Format, Output, emit, errors, grid, share
from glb.errors import GlbError
from glb.files import replace_file
from glb.simulate import scenarios
from glb.simulate.check import MOST_CONNECTIONS
from glb.simulate.connections import count_of, scaled
from glb.simulate.model import Scenario
from glb.simulate.picture import picture
from glb.simulate.run import RunResult, Tick, simulate, steps_of
from glb.simulate.safe_changes import DEPTHS, Effect, SafetyResult, safety_results

ScenarioArgument = Annotated[
    str | None, typer.Argument(metavar="SCENARIO", help="A scenario of --list, or a JSON file.")
]
List = Annotated[bool, typer.Option("--list", help="List the built-in scenarios.")]
Source = Annotated[bool, typer.Option("--source", help="Print the scenario's JSON, as a start for another one.")]
Safety = Annotated[
    bool, typer.Option("--safety", help="Try all small changes of a table: which are safe, also with late directors.")
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the random numbers; the same seed gives the same result.")
]
Connections = Annotated[
    int | None,
    typer.Option("--connections", min=1, max=MOST_CONNECTIONS, help="Number of connections; the rate is scaled to it."),
]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Also draw the shares of cut connections.")]


def simulate_command(
    scenario: ScenarioArgument = None,
    list_all: List = False,
    source: Source = False,
    safety: Safety = False,
    seed: Seed = 1,
    connections: Connections = None,
    svg: Svg = None,
    output: Output = Format.TEXT,
) -> None:
    """Simulate connections through events, for glb, plain ECMP, LVS with and without sync, and Maglev hashing.

    It changes nothing and needs no root. docs/simulate.md describes the models and their assumptions.

    glbctl simulate rolling-upgrade --svg picture.svg
    """
    if sum((list_all, safety, scenario is not None)) != 1:
        raise typer.BadParameter("give one of: a scenario, --list, --safety")
    if list_all:
        _show_list(output)
    elif safety:
        _show_safety(output)
    elif source:
        typer.echo(scenarios.source(str(scenario)), nl=False)
    else:
        found = scenarios.find(str(scenario))
        _show_run(found if connections is None else scaled(found, connections), seed, svg, output)


def _show_list(output: Format) -> None:
    known = [scenarios.find(name) for name in scenarios.names()]
    table = grid("scenario", "what happens")
    for scenario in known:
        table.add_row(scenario.name, scenario.description)
    emit(output, [{"scenario": each.name, "description": each.description} for each in known], table)


def _show_run(scenario: Scenario, seed: int, svg: Path | None, output: Format) -> None:
    with _progress(scenario.name, steps_of(scenario)) as tick:
        outcomes = simulate(scenario, seed, tick)
    if svg is not None:
        _write(svg, picture(scenario, outcomes, seed))
    facts = {
        "scenario": scenario.name,
        "description": scenario.description,
        "seed": seed,
        "simulated": count_of(scenario),
        "outcomes": [_outcome_facts(outcome) for outcome in outcomes],
    }
    emit(output, facts, _render(scenario, outcomes))


def _write(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise GlbError(f"{path}: {error.strerror}") from error


def _outcome_facts(outcome: RunResult) -> dict[str, Any]:
    return {**asdict(outcome), "cut_share": outcome.cut_share}


@contextmanager
def _progress(what: str, steps: int) -> Iterator[Tick]:
    """A progress bar on stderr, if it is a terminal."""
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(what, total=steps)
        yield lambda: bar.advance(task)


def _render(scenario: Scenario, outcomes: Sequence[RunResult]) -> RenderableType:
    columns = ("cut", "moved", "stalled", "died with their backend")
    table = grid("load balancer", "ECMP", *columns, numbers=columns)
    for each in outcomes:
        parts = (each.cut, each.moved, each.stalled, each.died)
        shares = (share(part, each.connections) if part else "0" for part in parts)
        table.add_row(each.balancer, each.ecmp, *shares)
    most = max(outcome.connections for outcome in outcomes)
    return Group(
        Text(f"{scenario.name}: {scenario.description}", style="bold"),
        f"Shares of the {most:,} connections that were open at the first event or until its last consequence:",
        table,
    )


_LEAVING = range(4)


def _show_safety(output: Format) -> None:
    found = [verdict for depth in DEPTHS for moves in (1, 2) for verdict in safety_results(depth, moves)]
    facts = [
        {
            "depth": each.depth,
            "changes": list(each.changes),
            "leaving": each.leaving,
            "at_once": each.at_once.name.lower(),
            "late": each.late.name.lower(),
        }
        for each in found
    ]
    tables = [_safety_table(depth, [each for each in found if each.depth == depth]) for depth in DEPTHS]
    emit(output, facts, Group(*tables, _LEGEND))


_LEGEND = """\
safe: no connection is cut, also while directors have different tables.
late stalls, late cuts: safe if all directors have changed before traffic moves between them; otherwise connections
through a late one stall until it has changed, too, or are cut.
cuts: in any case. -: there is no such case."""


def _safety_table(depth: int, found: Sequence[SafetyResult]) -> RenderableType:
    cells: dict[str, dict[int, str]] = {}
    for each in found:
        cells.setdefault(" + ".join(each.changes), {})[each.leaving] = _cell(each)
    table = grid("changes at the same time", *(f"{number}" for number in _LEAVING))
    for changes, by_leaving in cells.items():
        table.add_row(changes, *(by_leaving.get(number, "-") for number in _LEAVING))
    title = f"Rows of depth {depth}, by how many backends are draining or failed before"
    return Group(Text(title, style="bold"), table, "")


def _cell(verdict: SafetyResult) -> str:
    if verdict.at_once is Effect.CUT:
        return "cuts"
    return {Effect.KEPT: "safe", Effect.STALLED: "late stalls", Effect.CUT: "late cuts"}[verdict.late]
