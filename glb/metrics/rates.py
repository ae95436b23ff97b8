"""How fast samples grow: packets and bits a second, and their recent past. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glb.metrics.sample import Sample

_BARS = "▁▂▃▄▅▆▇█"
HISTORY = 30  # values of a sparkline

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """Packets and bits a second."""

    packets: float
    bits: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """verdicts: by role and verdict. binds, backends: by table and name. All summed over interfaces."""

    verdicts: Mapping[Key, Rate]
    binds: Mapping[Key, Rate]
    backends: Mapping[Key, Rate]


def rates(before: Sequence[Sample], now: Sequence[Sample], seconds: float) -> Rates:
    """What has come in between two looks at the same interfaces. What was not there before has not grown yet."""
    verdicts: dict[Key, float] = defaultdict(float)
    traffic: dict[str, dict[Key, list[float]]] = {"bind": {}, "backend": {}}
    earlier = {sample.report.interface: sample for sample in before}
    for sample in now:
        old = earlier.get(sample.report.interface, sample)
        for verdict, count in sample.packets.items():
            verdicts[sample.report.role, verdict] += _grown(old.packets.get(verdict, count), count)
        for (kind, table, name), (packets, size) in sample.traffic.items():
            old_packets, old_size = old.traffic.get((kind, table, name), (packets, size))
            sums = traffic[kind].setdefault((table, name), [0.0, 0.0])
            sums[0] += _grown(old_packets, packets)
            sums[1] += _grown(old_size, size)
    return Rates(
        {key: Rate(count / seconds) for key, count in verdicts.items()},
        *({key: Rate(p / seconds, 8 * b / seconds) for key, (p, b) in traffic[kind].items()} for kind in traffic),
    )


def sparkline(values: Sequence[float]) -> str:
    """The values as bars from 0 to their highest, the newest last; at most HISTORY of them."""
    shown = values[-HISTORY:]
    highest = max(shown, default=0.0)
    if not highest:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(int(value / highest * len(_BARS)), len(_BARS) - 1)] for value in shown)


def _grown(before: int, now: int) -> int:
    """A count that has become smaller began anew."""
    return now - before if now >= before else now
