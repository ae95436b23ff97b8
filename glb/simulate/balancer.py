# SPDX-License-Identifier: MIT
"""What a model of a load balancer has to tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from glb.config.model import State
from glb.simulate.connections import Connections, Indices
from glb.simulate.ecmp import LOST, Numbers
from glb.simulate.model import Ecmp, Scenario
from glb.simulate.timeline import Backends, Epoch, Timeline


class Delivery(NamedTuple):
    """Where packets go: the backend that each is sent to, and the one that takes it, LOST, or REFUSED."""

    sent_to: Numbers
    taken_by: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What a model is made of. `seed`, 16 bytes, is for its hashes."""

    scenario: Scenario
    timeline: Timeline
    connections: Connections
    ecmp: Ecmp
    seed: bytes


class Balancer(Protocol):
    """A model, with its state for one run. Epochs come in their order.

    In both methods, `directors` are those that the packets arrive at, which are alive; `homes` are the backends that
    the connections were opened with.
    """

    def opened(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Delivery:
        """Where the first packets of these connections go."""
        ...

    def continued(self, epoch: Epoch, chosen: Indices, directors: Numbers, homes: Numbers) -> Delivery:
        """Where further packets of these connections go, which have begun before the epoch."""
        ...


def lost_in(failed: Iterable[int], sent_to: Numbers) -> Numbers:
    """Who takes what is sent to these backends: they themselves, but LOST where the host is gone."""
    return np.where(np.isin(sent_to, list(failed)), np.int16(LOST), sent_to)


def listed(tables: Sequence[Backends]) -> npt.NDArray[np.bool_]:
    """Which backends are in each version of the table: (versions, backends)."""
    return np.array([[backend.state is not State.INACTIVE for backend in table] for table in tables])
