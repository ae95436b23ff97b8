# SPDX-License-Identifier: MIT
"""Asking the agent of a proxy how many connections it holds."""

import json
import socket
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http.client import BAD_REQUEST, HTTPException
from typing import Any
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError

from glb.config.model import Address, Bind, Proto, Table
from glb.control.http import request
from glb.errors import AgentError, ControlError

_counts = TypeAdapter(dict[str, dict[str, int]])
_packets = TypeAdapter(dict[str, int])


@dataclass(frozen=True, slots=True)
class BindQuery:
    """The TCP binds of tables, and among which others they are: those that may claim some of their packets.

    `asked` holds both, in the file's order, which decides between equals.
    """

    own: frozenset[Bind]
    asked: tuple[Bind, ...]


def binds_of_tables(tables: Sequence[Table], names: Collection[str]) -> BindQuery:
    """What to ask for to learn of the connections of the tables of these names, and of these only."""
    return query_among(
        [bind for table in tables for bind in table.binds],
        [bind for table in tables if table.name in names for bind in table.binds],
    )


def query_among(binds: Sequence[Bind], own: Collection[Bind]) -> BindQuery:
    """What to ask for to learn of the connections of some binds of all that are loaded."""
    mine = frozenset(bind for bind in own if bind.proto is Proto.TCP)
    asked = tuple(bind for bind in binds if bind.proto is Proto.TCP and any(_overlap(bind, each) for each in mine))
    return BindQuery(mine, asked)


def _overlap(one: Bind, other: Bind) -> bool:
    return (
        one.family == other.family
        and one.port_start <= other.port_end
        and other.port_start <= one.port_end
        and one.network.overlaps(other.network)
    )


@dataclass(frozen=True, slots=True)
class AgentCount:
    """What a proxy holds: TCP sockets of the wanted binds by state ("established", "time_wait", ...), and the packets
    of its datapath by verdict, of whatever table."""

    sockets: Mapping[str, int]
    packets: Mapping[str, int]


class AgentClient:
    """One proxy's agent."""

    def __init__(self, address: Address, port: int) -> None:
        host = f"[{address}]" if address.version == 6 else str(address)
        self.place = f"{host}:{port}"
        self._family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        self._address = (str(address), port)

    def count(self, wanted: BindQuery, timeout: float) -> AgentCount:
        """Ask once. timeout: seconds. Raises AgentError."""
        query = urlencode({"bind": [str(bind) for bind in wanted.asked]}, doseq=True)
        answer = self._get(f"/v1/connections?{query}", timeout)
        try:
            binds, packets = _counts.validate_python(answer["binds"]), _packets.validate_python(answer["packets"])
            sockets: Counter[str] = Counter()
            for bind in wanted.own:
                sockets.update(binds[str(bind)])
        except (KeyError, TypeError, ValidationError) as error:
            raise AgentError(f"what answers at {self.place} is no agent of this version of glb") from error
        return AgentCount(sockets, packets)

    def _get(self, path: str, timeout: float) -> Any:
        try:
            answer = request(self._family, self._address, self.place, "GET", path, None, timeout, connect=timeout)
            said = json.loads(answer.content)
        except TimeoutError as error:
            raise AgentError(f"the proxy's agent at {self.place} has not answered within {timeout:.1f} s") from error
        except ConnectionResetError as error:
            raise AgentError(
                f"the proxy's agent at {self.place} has closed the connection; the proxy's `sources` must "
                "contain this host's address"
            ) from error
        except OSError as error:
            raise AgentError(
                f"the proxy's agent at {self.place} cannot be reached: {error.strerror or error}"
            ) from error
        except (ValueError, HTTPException, ControlError) as error:
            raise AgentError(f"what answers at {self.place} is no agent of glb") from error
        if answer.status >= BAD_REQUEST:
            detail = said.get("detail") if isinstance(said, dict) else None
            raise AgentError(f"the proxy's agent at {self.place} refuses: {detail or answer.status}")
        return said
