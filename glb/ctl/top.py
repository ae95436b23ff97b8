# SPDX-License-Identifier: MIT
"""`glbctl top`: rates of packets and bits, continuously."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from glb.ctl import complete
from glb.ctl.datapaths import interfaces_with_datapath, sample_of
from glb.ctl.output import Format, Output, console, emit, grid, share
from glb.errors import DatapathError, GlbError, ReportError
from glb.metrics.rates import SPARKLINE_VALUES, Rate, RateKey, Rates, rates, sparkline
from glb.metrics.sample import Sample

_OTHER_LINES = 10  # lines of a view that are not a row: headings, lines between, "and N more"
_DRAINING = "draining"
_SECOND_CHANCES = (
    "2nd chance: a draining backend keeps its connections; their packets come by the first hops of its rows, which"
    " count them. `glbctl top` on a proxy shows what it sends on to each."
)
_NOTE_LINES = 4  # in 80 columns, with the empty one
_STYLES = {"drop": "red", "pass": "dim", "forwarded": "yellow"}


def top_command(
    interfaces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IFACE]...", autocompletion=complete.interfaces, help="Only these interfaces.", show_default=False
        ),
    ] = None,
    interval: Annotated[float, typer.Option("--interval", "-d", min=0.1, help="Seconds between two readings.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Read twice, print the rates, and exit.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Watch packets and bits per second by VIP, backend and verdict, summed over this host's interfaces.

    Ends with Ctrl-C. For scripts: --once -o json.

    glbctl top eth0 --interval 5
    """
    readings = _readings(interfaces or (), interval)
    if once or output is Format.JSON:
        samples, found = next(readings)
        emit(output, _facts(found), _view(samples, found, _History()))
        return
    with suppress(KeyboardInterrupt):
        _watch(readings)


def _watch(readings: Iterator[tuple[list[Sample], Rates]]) -> None:
    """On a terminal show the last reading, elsewhere print one after another."""
    history = _History()
    if not console.is_terminal:
        for samples, found in readings:
            history.add(found)
            console.print(_view(samples, found, history))
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for samples, found in readings:
            history.add(found)
            live.update(_view(samples, found, history, console.height), refresh=True)


def _readings(interfaces: Sequence[str], interval: float) -> Iterator[tuple[list[Sample], Rates]]:
    """Rates between consecutive readings. interfaces: empty means all, including later ones."""
    before, then = _take(interfaces), time.monotonic()
    if not before:
        raise GlbError("no datapath is attached on this host; see `glbctl doctor`")
    while True:
        time.sleep(interval)
        samples, now = _take(interfaces), time.monotonic()
        yield samples, rates(before, samples, now - then)
        before, then = samples, now


def _take(interfaces: Sequence[str]) -> list[Sample]:
    """Read the existing ones; a daemon that restarts is missing for some seconds."""
    samples = []
    for interface in interfaces or interfaces_with_datapath():
        with suppress(ReportError, DatapathError):
            samples.append(sample_of(interface))
    return samples


class _History:
    """The recent values of each rate of packets."""

    def __init__(self) -> None:
        self._values: dict[RateKey, deque[float]] = defaultdict(lambda: deque(maxlen=SPARKLINE_VALUES))

    def add(self, found: Rates) -> None:
        groups = {
            "verdict": found.verdicts,
            "bind": found.binds,
            "backend": found.backends,
            "forward": found.forwards,
        }
        for kind, group in groups.items():
            for key, rate in group.items():
                self._values[kind, *key].append(rate.packets)

    def was_met(self, kind: str, key: RateKey) -> bool:
        return any(self._values.get((kind, *key), ()))

    def lines(self, kind: str) -> Callable[[RateKey], str]:
        """A function that draws sparklines of one kind on a common scale."""
        highest = max((max(values, default=0.0) for one, values in self._values.items() if one[0] == kind), default=0.0)
        return lambda key: sparkline(list(self._values.get((kind, *key), ())), highest)


def _facts(found: Rates) -> dict[str, Any]:
    def traffic(kind: str, group: Mapping[RateKey, Rate]) -> list[dict[str, Any]]:
        return [
            {"table": table, kind: name, "packets_per_second": rate.packets, "bits_per_second": rate.bits}
            for (table, name), rate in group.items()
        ]

    return {
        "verdicts": [
            {"role": role, "verdict": verdict, "packets_per_second": rate.packets}
            for (role, verdict), rate in found.verdicts.items()
        ],
        "binds": traffic("bind", found.binds),
        "backends": traffic("backend", found.backends),
        "forwards": [{"next_hop": hop, "packets_per_second": rate.packets} for (hop,), rate in found.forwards.items()],
    }


def _view(samples: Sequence[Sample], found: Rates, history: _History, height: int | None = None) -> RenderableType:
    """height: available lines; entries with the least traffic are omitted. None: no limit."""
    states: dict[RateKey, str] = {
        (table.name, address): state
        for sample in samples
        for table in sample.report.tables
        for address, state in table.backends.items()
    }
    names = ", ".join(f"{sample.report.role} {sample.report.interface}" for sample in samples) or "no datapath"
    verdicts = _verdicts(found.verdicts, history)
    forwards = _forwards(_met("forward", found.forwards, history), history)
    further = forwards.row_count + 2 if forwards.row_count else 0
    is_draining = any(state.startswith(_DRAINING) for state in states.values())
    further += _NOTE_LINES if is_draining else 0
    most = max((height - _OTHER_LINES - verdicts.row_count - further) // 2, 1) if height is not None else None
    parts: list[RenderableType] = [Text(f"{time.strftime('%H:%M:%S')}  {names}", style="bold"), ""]
    if found.backends:
        met = _met("bind", found.binds, history)
        parts += [_traffic("bind", met, {}, history, most) if met else "no packets for a VIP", ""]
        parts += [_traffic("backend", found.backends, states, history, most), ""]
        if is_draining:
            parts += [Text(_SECOND_CHANCES, style="dim"), ""]
    if forwards.row_count:
        parts += [forwards, ""]
    parts.append(verdicts)
    return Group(*parts)


def _traffic(
    kind: str, group: Mapping[RateKey, Rate], states: Mapping[RateKey, str], history: _History, most: int | None
) -> Table:
    numbers = ("packets/s", "bits/s", "share")
    table = grid("table", kind, *(["state"] if states else []), *numbers, "", numbers=numbers)
    whole, line = sum(rate.packets for rate in group.values()), history.lines(kind)
    for key, rate in sorted(group.items(), key=lambda pair: -pair[1].packets)[:most]:
        portion = share(round(rate.packets), round(whole))
        state = [states.get(key, "-")] if states else []
        shown = (_count(rate.packets), _bits(rate.bits), portion)
        if state and state[0].startswith(_DRAINING) and not round(rate.packets):
            shown = ("-", "-", "2nd chance")
        table.add_row(*key, *state, *shown, line(key))
    if most is not None and len(group) > most:
        table.add_row("", f"and {len(group) - most} more")
    return table


def _forwards(group: Mapping[RateKey, Rate], history: _History) -> Table:
    """Packets that this host's proxies send on."""
    table, line = grid("second chance to", "packets/s", "", numbers=("packets/s",)), history.lines("forward")
    for key, rate in sorted(group.items(), key=lambda pair: -pair[1].packets):
        table.add_row(*key, _count(rate.packets), line(key))
    return table


def _met(kind: str, group: Mapping[RateKey, Rate], history: _History) -> Mapping[RateKey, Rate]:
    """Rates that are, or recently were, above 0."""
    return {key: rate for key, rate in group.items() if rate.packets or history.was_met(kind, key)}


def _verdicts(group: Mapping[RateKey, Rate], history: _History) -> Table:
    table, line = grid("", "verdict", "packets/s", "", numbers=("packets/s",)), history.lines("verdict")
    met = _met("verdict", group, history)
    for key, rate in sorted(met.items(), key=lambda pair: (pair[0][0], -pair[1].packets)):
        role, verdict = key
        style = next((style for word, style in _STYLES.items() if verdict.startswith(word)), "")
        table.add_row(role, Text(verdict, style=style), _count(rate.packets), line(key))
    return table


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _bits(number: float) -> str:
    for unit in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} T"
