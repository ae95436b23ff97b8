# SPDX-License-Identifier: MIT
"""A run: connections begin, and each model delivers their packets, epoch by epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from glb.simulate.balancer import Balancer, World
from glb.simulate.connections import Indices, draw
from glb.simulate.ecmp import LOST, Numbers, buckets_over_time, next_hops
from glb.simulate.lvs import Lvs
from glb.simulate.maglev import Maglev
from glb.simulate.model import Ecmp, Scenario
from glb.simulate.plain_ecmp import PlainEcmp
from glb.simulate.second_chance import SecondChance
from glb.simulate.timeline import Epoch, timeline

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Model:
    """A load balancer: its name, the constructor of its model, and whether packets pass directors."""

    name: str
    make: Callable[[World], Balancer]
    has_directors: bool = True


MODELS = (
    Model("plain ECMP", PlainEcmp, has_directors=False),
    Model("LVS", partial(Lvs, synchronized=False)),
    Model("LVS with sync", partial(Lvs, synchronized=True)),
    Model("Maglev", Maglev),
    Model("glb", SecondChance),
)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The numbers of connections by their outcome.

    `connections` are those that were open at some time between the first event and its last consequence. cut: its
    backend was alive, and the connection ended early. died: its backend's host failed, so no load balancer could have
    kept it. moved: the director or the first backend of its packets changed. stalled: its packets were lost for some
    time.
    """

    balancer: str
    ecmp: Ecmp
    connections: int
    cut: int
    moved: int
    stalled: int
    died: int

    @property
    def cut_share(self) -> float:
        """From 0 to 1."""
        return self.cut / self.connections if self.connections else 0.0


def steps_of(scenario: Scenario) -> int:
    """The number of ticks of a run of this scenario."""
    return len(MODELS) * len(scenario.ecmp) * len(timeline(scenario).epochs)


def simulate(scenario: Scenario, seed: int, tick: Tick = lambda: None) -> tuple[RunResult, ...]:
    """Run a scenario for every model and kind of ECMP, all on the same connections; the same for the same seed."""
    random = np.random.default_rng(seed)
    connections, key = draw(scenario, random), random.bytes(16)
    worlds = [World(scenario, timeline(scenario), connections, ecmp, key) for ecmp in scenario.ecmp]
    return tuple(run_model(model, world, tick) for model in MODELS for world in worlds)


def run_model(model: Model, world: World, tick: Tick = lambda: None) -> RunResult:
    """Run one load balancer."""
    balancer, fates = model.make(world), _Fates(world, model.has_directors)
    for number, epoch in enumerate(world.timeline.epochs):
        if number:
            fates.advance(balancer, number, epoch)
        fates.begin(balancer, number, epoch)
        tick()
    return fates.outcome(model.name)


class _Fates:
    """The state of each connection during the run."""

    def __init__(self, world: World, has_directors: bool) -> None:
        count = len(world.connections)
        self._world = world
        routed = [epoch.routed if has_directors else (0,) for epoch in world.timeline.epochs]
        self._routes = buckets_over_time(world.ecmp, routed, world.scenario.buckets)
        self._has_directors = has_directors
        self._home = np.full(count, LOST, np.int16)
        self._director = np.full(count, LOST, np.int16)
        self._silent_s = np.zeros(count)
        self._over, self._cut, self._moved, self._stalled, self._died = np.zeros((5, count), np.bool_)

    def begin(self, balancer: Balancer, number: int, epoch: Epoch) -> None:
        """Open the epoch's connections. One whose first packet is lost does not count: its client tries again."""
        chosen = self._world.connections.begun_in(epoch.begin_s, epoch.end_s)
        directors = self._arrive(number, epoch, chosen)
        chosen, directors = chosen[directors != LOST], directors[directors != LOST]
        self._home[chosen] = balancer.opened(epoch, chosen, directors).taken_by
        self._director[chosen] = directors

    def advance(self, balancer: Balancer, number: int, epoch: Epoch) -> None:
        """Send packets of all connections that are open when the epoch begins."""
        chosen = self._still_open(epoch)
        directors = self._arrive(number, epoch, chosen)
        arrived = directors != LOST
        homes = self._home[chosen]
        sent_to, taken_by = (np.full(len(chosen), LOST, np.int16) for _ in range(2))
        delivery = balancer.continued(epoch, chosen[arrived], directors[arrived], homes[arrived])
        sent_to[arrived], taken_by[arrived] = delivery
        self._moved[chosen] |= (sent_to != homes) | (directors != self._director[chosen])
        self._lose(epoch, chosen[taken_by == LOST])
        self._silent_s[chosen[taken_by == homes]] = 0
        self._end(chosen[(taken_by != homes) & (taken_by != LOST)])

    def outcome(self, balancer: str) -> RunResult:
        connections, epochs = self._world.connections, self._world.timeline.epochs
        first, last = self._world.scenario.events[0].at_s, epochs[-1].begin_s
        counted = (self._home != LOST) & (connections.begin_s < last) & (connections.end_s > first)
        cut, moved, stalled, died = (
            int(np.count_nonzero(flags & counted)) for flags in (self._cut, self._moved, self._stalled, self._died)
        )
        return RunResult(balancer, self._world.ecmp, int(np.count_nonzero(counted)), cut, moved, stalled, died)

    def _arrive(self, number: int, epoch: Epoch, chosen: Indices) -> Numbers:
        """The director that each connection's packets reach; LOST if it is not alive."""
        directors = next_hops(self._routes[number], self._world.connections.spread[chosen])
        if self._has_directors:
            directors = np.where(np.isin(directors, list(epoch.running)), directors, np.int16(LOST))
        return directors

    def _still_open(self, epoch: Epoch) -> Indices:
        """Those that are open, without those whose backend fails in this epoch."""
        chosen = self._world.connections.open_at(epoch.begin_s)
        chosen = chosen[(self._home[chosen] != LOST) & ~self._over[chosen]]
        dies = np.isin(self._home[chosen], list(epoch.failed))
        self._died[chosen[dies]] = self._over[chosen[dies]] = True
        left: Indices = chosen[~dies]
        return left

    def _lose(self, epoch: Epoch, chosen: Indices) -> None:
        """Count these as without an answer for the epoch, or until the connection would have ended."""
        ends = np.minimum(self._world.connections.end_s[chosen], epoch.end_s)
        self._stalled[chosen] = True
        self._silent_s[chosen] += ends - epoch.begin_s
        self._end(chosen[self._silent_s[chosen] > self._world.scenario.patience_s])

    def _end(self, chosen: Indices) -> None:
        self._cut[chosen] = self._over[chosen] = True
