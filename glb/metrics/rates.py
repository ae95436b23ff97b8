# SPDX-License-Identifier: MIT
"""Rates from two samples, in packets and bits per second; and sparklines. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glb.metrics.sample import Sample

_BARS = "▁▂▃▄▅▆▇█"
SPARKLINE_VALUES = 30  # values of a sparkline

RateKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """Packets and bits per second."""

    packets: float
    bits: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """verdicts: by role and verdict. binds, backends: by table and name. forwards: packets that proxies forward for a
    second chance, by next hop. All are sums over the interfaces."""

    verdicts: Mapping[RateKey, Rate]
    binds: Mapping[RateKey, Rate]
    backends: Mapping[RateKey, Rate]
    forwards: Mapping[RateKey, Rate]


def rates(before: Sequence[Sample], now: Sequence[Sample], seconds: float) -> Rates:
    """The rates between two samples of the same interfaces. A counter that is new in the second has rate 0."""
    verdicts: dict[RateKey, float] = defaultdict(float)
    forwards: dict[RateKey, float] = defaultdict(float)
    traffic: dict[str, dict[RateKey, list[float]]] = {"bind": {}, "backend": {}}
    earlier = {sample.report.interface: sample for sample in before}
    for sample in now:
        old = earlier.get(sample.report.interface, sample)
        for verdict, count in sample.packets.items():
            verdicts[sample.report.role, verdict] += _grown(old.packets.get(verdict, count), count)
        for hop, count in sample.forwards.items():
            forwards[(str(hop),)] += _grown(old.forwards.get(hop, 0 if old is not sample else count), count)
        for (kind, table, name), (packets, size) in sample.traffic.items():
            old_packets, old_size = old.traffic.get((kind, table, name), (packets, size))
            sums = traffic[kind].setdefault((table, name), [0.0, 0.0])
            sums[0] += _grown(old_packets, packets)
            sums[1] += _grown(old_size, size)
    grown = {
        kind: {key: Rate(p / seconds, 8 * b / seconds) for key, (p, b) in sums.items()}
        for kind, sums in traffic.items()
    }
    return Rates(
        verdicts={key: Rate(count / seconds) for key, count in verdicts.items()},
        binds=grown["bind"],
        backends=grown["backend"],
        forwards={key: Rate(count / seconds) for key, count in forwards.items()},
    )


def sparkline(values: Sequence[float], highest: float) -> str:
    """The values as bars from 0 to `highest`, the newest last; at most SPARKLINE_VALUES of them.

    highest: at least the maximum of the values; the same for all lines of a column.
    """
    shown = values[-SPARKLINE_VALUES:]
    if not highest:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(int(value / highest * len(_BARS)), len(_BARS) - 1)] for value in shown)


def _grown(before: int, now: int) -> int:
    """The increase of a counter. A counter that has decreased was reset."""
    return now - before if now >= before else now
