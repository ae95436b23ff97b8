# SPDX-License-Identifier: MIT
"""The programs in the kernel, run frame by frame, and compared with the model.

glb's own loader puts the configuration into the maps; all that is judged comes out of the kernel.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Any

from glb.datapath import libbpf
from glb.datapath.counters import counters_of
from glb.datapath.director import DirectorDatapath
from glb.datapath.generation import NetworkView
from glb.datapath.layout import Capacity, capacity_for
from glb.datapath.program import LoadedProgram
from glb.datapath.proxy import ProxyDatapath
from glb.director.sources import Loaded, Sources, read

from .director import Director, Result
from .places import LEAST_FRAME
from .proxy import Proxy
from .setup import Document, packed_mac

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

    def __init__(self, program: LoadedProgram) -> None:
        self.program = program
        self.counters = dict(counters_of(program))

    def run(self, frame: bytes) -> Outcome:
        action, out = libbpf.run_on_frame(self.program.fd, frame)
        before, self.counters = self.counters, dict(counters_of(self.program))
        moved = {name: count - before[name] for name, count in self.counters.items() if count != before[name]}
        return Outcome(action, moved, out)


class DirectorsOfAllSizes:
    """Director programs, one for each requested size of maps."""

    def __init__(self, folder: Path) -> None:
        self.sources = Sources(folder / "director.conf", folder / "forwarding_table.json")
        self.loaded: dict[Capacity, tuple[DirectorDatapath, Kernel]] = {}

    def load(self, model: Director) -> Kernel:
        """Have a director do what the model is configured for.

        Raises ConfigError or TableError if glb refuses the documents.
        """
        loaded = self.read(model.config, model.tables)
        capacity = capacity_for(loaded.layout)
        if capacity not in self.loaded:
            datapath = DirectorDatapath.load(loaded.layout)
            self.loaded[capacity] = datapath, Kernel(datapath.program)
        datapath, kernel = self.loaded[capacity]
        datapath.write(loaded.layout, loaded.config, surroundings(model))
        return kernel

    def read(self, config: Document, tables: Sequence[Document]) -> Loaded:
        self.sources.config.write_text(json.dumps(config))
        self.sources.table.write_text(json.dumps({"tables": list(tables)}))
        return read(self.sources)

    def close(self) -> None:
        for datapath, _ in self.loaded.values():
            datapath.close()


def surroundings(model: Director) -> NetworkView:
    """What a director's daemon would have found out, put together from what the model is given."""
    next_hops = {IPv4Address(hop): mac for hop, mac in model.next_hops.items()}
    if "outbound_gateway_mac" in model.config:
        gateway = packed_mac(model.config["outbound_gateway_mac"])
        next_hops = {IPv4Address(backend["ip"]): gateway for table in model.tables for backend in table["backends"]}
    mtus = {IPv4Address(hop): mtu for hop, mtu in model.mtus.items()}
    return NetworkView(model.mac, model.way_mtu, next_hops, mtus=mtus)


def action_of(verdict: str) -> int:
    if verdict in TRANSMITTED:
        return XDP_TX
    return XDP_DROP if verdict.startswith("drop_") else XDP_PASS


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
    """A program in the kernel beside a model of it, configured alike."""

    def __init__(self, kernel: Kernel, model: Callable[[bytes], Result], configuration: object) -> None:
        self.kernel = kernel
        self.model = model
        self.configuration = configuration

    def check(self, frame: bytes) -> Result:
        """Run the frame through both. Fails, with all that is needed to see why, where they differ."""
        result, outcome = self.run(frame)
        if difference(result, outcome) is not None:
            raise AssertionError(self.describe(frame))
        return result

    def run(self, frame: bytes) -> tuple[Result, Outcome]:
        outcome = self.kernel.run(frame)
        result = self.model(frame)
        if result.verdict.startswith("answered_") and "drop_answer_limit" in outcome.counted:
            result = Result("drop_answer_limit", None)  # which other tests try
        return result, outcome

    def describe(self, frame: bytes) -> str:
        """The disagreement, and the same one in the plainest frame that shows it."""
        first = self.shape(frame)
        plain = simplified(frame, lambda candidate: self.shape(candidate) == first)
        texts = []
        for shown in dict.fromkeys((frame, plain)):
            result, outcome = self.run(shown)
            what = difference(result, outcome) or "first run alone"
            texts.append(report(what, shown, self.configuration, result, outcome))
        return "\n\nin its plainest form:\n".join(texts)

    def shape(self, frame: bytes) -> tuple[str | None, str, tuple[str, ...]]:
        """What kind of disagreement it is."""
        result, outcome = self.run(frame)
        return difference(result, outcome), result.verdict, tuple(outcome.counted)


def simplified(frame: bytes, is_alike: Callable[[bytes], bool]) -> bytes:
    """The frame, cut and with zeros wherever it stays alike."""
    while len(frame) > LEAST_FRAME and is_alike(frame[:-1]):
        frame = frame[:-1]
    for at in reversed(range(12, len(frame))):
        candidate = frame[:at] + b"\0" + frame[at + 1 :]
        frame = candidate if is_alike(candidate) else frame
    return frame


def director_comparison(directors: DirectorsOfAllSizes, model: Director) -> Comparison:
    return Comparison(directors.load(model), model.run, documents(model))


def proxy_comparison(datapath: ProxyDatapath, kernel: Kernel, model: Proxy) -> Comparison:
    """`kernel` runs the program of `datapath`."""
    datapath.write(
        macs=model.macs,
        places={ip_network(place): True for place in model.vips} | {ip_network(place): False for place in model.own},
        sources=[IPv4Network(source) for source in model.config.get("sources", ())],
        hops=[IPv4Network(network) for network in model.hops],
        addresses=[IPv4Address(address) for address in model.addresses] or None,
    )
    datapath.write_next_hops({IPv4Address(hop): mac for hop, mac in model.next_hops.items()})
    shown = {
        "proxy.conf": model.config,
        "VIPs and own addresses": [model.vips, model.own],
        "hops": model.hops,
        "addresses": [str(IPv4Address(address)) for address in model.addresses],
        "next hops": {str(IPv4Address(hop)): mac.hex(":") for hop, mac in model.next_hops.items()},
    }
    return Comparison(kernel, model.run, shown)


def documents(model: Director) -> dict[str, Any]:
    """The model's configuration, to be read by a person."""
    next_hops = {str(IPv4Address(hop)): mac.hex(":") for hop, mac in model.next_hops.items()}
    table = {"tables": model.tables}
    mtus = {str(IPv4Address(hop)): mtu for hop, mtu in model.mtus.items()}
    around = {"mtu": model.mtu, "next hops": next_hops, "path MTUs": mtus}
    return {"director.conf": model.config, "forwarding_table.json": table, **around}
