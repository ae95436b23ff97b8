# SPDX-License-Identifier: MIT
"""The interface of a model of a load balancer."""

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
    """The backend that each packet is sent to, and the one that accepts it, LOST, or REFUSED."""

    sent_to: Numbers
    taken_by: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """The input of a model. `seed`, 16 bytes, is for its hashes."""

    scenario: Scenario
    timeline: Timeline
    connections: Connections
    ecmp: Ecmp
    seed: bytes


class Balancer(Protocol):
    """A model, with its state for one run. Epochs are passed in order.

    In both methods, `directors` are the live directors at which the packets arrive; `homes` are the backends with
    which the connections were opened.
    """

    def opened(self, epoch: Epoch, chosen: Indices, directors: Numbers) -> Delivery:
        """The delivery of the first packets of these connections."""
        ...

    def continued(self, epoch: Epoch, chosen: Indices, directors: Numbers, homes: Numbers) -> Delivery:
        """The delivery of later packets of these connections, which began before the epoch."""
        ...


def lost_in(failed: Iterable[int], sent_to: Numbers) -> Numbers:
    """The backends that accept packets sent to these: themselves, or LOST if the host has failed."""
    return np.where(np.isin(sent_to, list(failed)), np.int16(LOST), sent_to)


def listed(tables: Sequence[Backends]) -> npt.NDArray[np.bool_]:
    """Which backends are in each version of the table: (versions, backends)."""
    return np.array([[backend.state is not State.INACTIVE for backend in table] for table in tables])
