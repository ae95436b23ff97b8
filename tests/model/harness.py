"""The programs in the kernel, run frame by frame, and compared with the model.

glb's own loader puts the configuration into the maps; all that is judged comes out of the kernel.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glb.datapath import libbpf
from glb.datapath.counters import counters_of
from glb.datapath.director import DirectorDatapath
from glb.datapath.layout import Capacity, capacity_for
from glb.datapath.program import Program
from glb.director.sources import Loaded, Sources, read

from .director import Director, Result
from .setup import Document, packed_mac

DIRECTOR_MAC = "02:00:00:00:00:01"
GATEWAY_MAC = "02:00:00:00:00:fe"
CONFIG: dict[str, Any] = {"outbound_gateway_mac": GATEWAY_MAC, "outbound_src_ip": "10.0.0.1"}
XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3
TRANSMITTED = ("encapsulated", "answered_echo", "answered_too_big", "forwarded")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the kernel did: XDP action, the counters that moved and by how much, the frame as it was left."""

    action: int
    counted: Mapping[str, int]
    frame: bytes


class Kernel:
    """A loaded program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.counters = dict(counters_of(program))

    def run(self, frame: bytes) -> Outcome:
        action, out = libbpf.run_on_frame(self.program.fd, frame)
        before, self.counters = self.counters, dict(counters_of(self.program))
        moved = {name: count - before[name] for name, count in self.counters.items() if count != before[name]}
        return Outcome(action, moved, out)


class DirectorsOfAllSizes:
    """Director programs, one for each size of maps that was asked for."""

    def __init__(self, folder: Path) -> None:
        self.sources = Sources(folder / "director.conf", folder / "forwarding_table.json")
        self.loaded: dict[Capacity, tuple[DirectorDatapath, Kernel]] = {}

    def load(self, config: Document, tables: Sequence[Document]) -> Kernel:
        """Raises ConfigError or TableError if glb refuses the documents."""
        loaded = self.read(config, tables)
        capacity = capacity_for(loaded.layout)
        if capacity not in self.loaded:
            datapath = DirectorDatapath.load(loaded.layout)
            self.loaded[capacity] = datapath, Kernel(datapath.program)
        datapath, kernel = self.loaded[capacity]
        datapath.write(loaded.layout, loaded.config, packed_mac(DIRECTOR_MAC))
        return kernel

    def read(self, config: Document, tables: Sequence[Document]) -> Loaded:
        self.sources.config.write_text(json.dumps(config))
        self.sources.table.write_text(json.dumps({"tables": list(tables)}))
        return read(self.sources)

    def close(self) -> None:
        for datapath, _ in self.loaded.values():
            datapath.close()


def action_of(verdict: str) -> int:
    if verdict in TRANSMITTED:
        return XDP_TX
    return XDP_DROP if verdict.startswith("drop_") else XDP_PASS


def expected(director: Director, frame: bytes, outcome: Outcome) -> Result:
    """What the model says, told by the outcome whether the rate limit allowed an answer."""
    result = director.run(frame)
    if result.verdict == "answered_too_big" and "drop_too_big" in outcome.counted:
        return Result("drop_too_big", None)
    return result


def difference(result: Result, outcome: Outcome) -> str | None:
    """In one word, how the kernel differs from the model; None if it does not."""
    if outcome.counted != {result.verdict: 1}:
        return "verdict"
    if outcome.action != action_of(result.verdict):
        return "action"
    if result.frame is not None and outcome.frame != result.frame:
        return "frame"
    return None


def report(what: str, frame: bytes, configuration: object, result: Result, outcome: Outcome) -> str:
    """All that is needed to see a disagreement and to have it again."""
    return "\n".join(
        [
            f"the kernel and the model differ in the {what}",
            f"frame in: {frame.hex()}",
            f"configuration: {json.dumps(configuration, default=str)}",
            f"model:  {result.verdict}",
            f"        {result.frame.hex() if result.frame is not None else '-'}",
            f"kernel: action {outcome.action}, counted {dict(outcome.counted)}",
            f"        {outcome.frame.hex()}",
        ]
    )


class Comparison:
    """A director in the kernel beside its model, with the same configuration."""

    def __init__(self, directors: DirectorsOfAllSizes, config: Document, tables: Sequence[Document]) -> None:
        self.kernel = directors.load(config, tables)
        self.model = Director(config, tuple(tables), packed_mac(DIRECTOR_MAC))
        self.configuration = {"director.conf": config, "forwarding_table.json": {"tables": list(tables)}}

    def check(self, frame: bytes) -> Result:
        """Run the frame through both. Fails, with all that is needed to see why, where they differ."""
        outcome = self.kernel.run(frame)
        result = expected(self.model, frame, outcome)
        what = difference(result, outcome)
        assert what is None, report(what, frame, self.configuration, result, outcome)
        return result
