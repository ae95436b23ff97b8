# SPDX-License-Identifier: MIT
"""From results to tables of text, whatever they are then written as."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

Result = Mapping[str, Any]
Form = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Table:
    """The first column is text, the others are figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(document: Mapping[str, Result]) -> list[Table]:
    """The parts that were measured, in the order of this page."""
    renderers: dict[str, Callable[[Result], Iterator[Table]]] = {
        "datapath": _datapath,
        "network": _network,
        "tables": partial(_others, "Forwarding tables"),
        "scale": partial(_others, "Large tables"),
        "reload": _reload,
        "routing": _routing,
        "footprint": partial(_others, "Footprint"),
    }
    return [table for part, render in renderers.items() if part in document for table in render(document[part])]


def machine(document: Mapping[str, Result]) -> str:
    """One line for each part: where and when it was measured."""
    return "\n".join(
        f"{part}: " + ", ".join(f"{name} {value}" for name, value in result["machine"].items())
        for part, result in document.items()
    )


def bars_met(document: Mapping[str, Result]) -> bool:
    return all(bar["met"] for result in document.values() for bar in result.get("bars", ()))


def _datapath(result: Result) -> Iterator[Table]:
    yield Table(
        f"Nanoseconds a packet, medians of {result['rounds']} rounds",
        ("case", "with harness", "net", "half of them", "min to max", "times floor (b)"),
        [_case(case) for case in result["cases"]],
    )
    yield Table(
        "The harness alone: floor (a), which is taken off",
        ("harness", "ns", "half of them", "min to max"),
        [(name, _ns(spread["median"]), *_widths(spread, _ns)) for name, spread in result["harness_ns"].items()],
    )
    yield _bars("Bars of the datapath", result)


def _case(case: Result) -> tuple[str, ...]:
    net = case["net_ns"]
    times = "" if case["times_floor_b"] is None else f"{case['times_floor_b']:.2f}"
    return (case["name"], _ns(case["ns"]["median"]), _ns(net["median"]), *_widths(net, _ns), times)


def _network(result: Result) -> Iterator[Table]:
    forwarding, connections = result["forwarding"], result["connections"]
    yield Table(
        f"Packets a second on one CPU: the director does {forwarding['director_times_linux']} times what Linux does",
        ("host", "packets a second", "half of them", "min to max", "ns more than sending back"),
        [
            (name, _count(rate["median"]), *_widths(rate, _count), _of(forwarding["ns_beyond_sending_back"], name, _ns))
            for name, rate in forwarding["packets_a_second"].items()
        ],
    )
    yield Table(
        "New connections a second, and CPU time of the whole machine for each",
        (
            "through",
            "connections a second",
            "half of them",
            "CPU us",
            "half of them",
            "CPU us added",
            "glb's share of CPU",
        ),
        [_connection(connections, name) for name in connections["connections_a_second"]],
    )


def _connection(connections: Result, name: str) -> tuple[str, ...]:
    rate, cpu = connections["connections_a_second"][name], connections["cpu_us_a_connection"][name]
    return (
        name,
        _count(rate["median"]),
        _widths(rate, _count)[0],
        f"{cpu['median']:.0f}",
        _widths(cpu, _count)[0],
        _of(connections["cpu_us_added"], name, _ns),
        _of(connections["glb_cpu_times"], name),
    )


def _reload(result: Result) -> Iterator[Table]:
    yield Table(
        f"Milliseconds for one backend's change of state, {result['rounds']} times",
        ("step", "ms", "half of them", "min to max"),
        [(step, _ns(spread["median"]), *_widths(spread, _ns)) for step, spread in result["ms"].items()],
    )
    yield _bars("Bars of the reload", result)


def _routing(result: Result) -> Iterator[Table]:
    yield Table(
        f"{result['connections']} live connections, each with a request every {result['pulse_seconds']} s",
        ("what happens", "connections", "cut", "longest wait, s"),
        [
            (name, str(event["connections"]), str(event["cut"]), f"{event['stall_seconds']:.2f}")
            for name, event in result["events"].items()
        ],
    )
    yield _bars("Bars of the routing", result)


def _others(title: str, result: Result) -> Iterator[Table]:
    """Of a part whose figures have no form of their own here: one a line."""
    figures = {name: value for name, value in result.items() if name not in ("machine", "bars")}
    yield Table(title, ("figure", "median", "half of them", "min to max"), list(_lines(figures)))
    if "bars" in result:
        yield _bars(f"Bars of the {title.lower()}", result)


def _bars(title: str, result: Result) -> Table:
    rows = [
        (bar["what"], _figure(bar["value"]), f"{bar['limit']}", "met" if bar["met"] else "MISSED")
        for bar in result["bars"]
    ]
    return Table(title, ("what", "measured", "at most", ""), rows)


def _lines(value: Any, name: str = "") -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping) and "median" in value:
        yield (name, _figure(value["median"]), *_widths(value, _figure))
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _lines(below, f"{name}: {key}" if name else str(key))
    else:
        yield (name, _figure(value), "", "")


def _widths(spread: Result, form: Form) -> tuple[str, str]:
    return (
        f"{form(spread['low_quartile'])} to {form(spread['high_quartile'])}",
        f"{form(spread['min'])} to {form(spread['max'])}",
    )


def _figure(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _ns(value: float) -> str:
    return f"{value:.1f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _of(values: Mapping[str, float], name: str, form: Form = _figure) -> str:
    return form(values[name]) if name in values else ""
