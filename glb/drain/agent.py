# SPDX-License-Identifier: MIT
"""The client of a proxy's agent, which counts the connections that the proxy holds for given binds."""

import json
import socket
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http.client import BAD_REQUEST, HTTPException
from typing import Any
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError

from glb.config.bind_order import binds_in_force
from glb.config.model import Address, Bind, Proto, Table
from glb.control.http import request
from glb.errors import AgentError, ControlError

_counts = TypeAdapter(dict[str, dict[str, int]])
_packets = TypeAdapter(dict[str, int])


@dataclass(frozen=True, slots=True)
class BindQuery:
    """The binds to send to an agent, to count the connections of some of them.

    own: TCP binds whose connections count. all: these and the TCP binds that overlap them, which may match some of
    their packets, in the order of the file, which decides between equal binds.
    """

    own: frozenset[Bind]
    all: tuple[Bind, ...]


def binds_of_tables(tables: Sequence[Table], names: Collection[str]) -> BindQuery:
    """The query for the connections of the tables of these names."""
    binds = binds_in_force(tables)
    return query_among(
        [bind for bind, _ in binds],
        [bind for bind, number in binds if tables[number].name in names],
    )


def query_among(binds: Sequence[Bind], own: Collection[Bind]) -> BindQuery:
    """The query for the connections of `own`. binds: all loaded binds."""
    mine = frozenset(bind for bind in own if bind.proto is Proto.TCP)
    tcp = [bind for bind in binds if bind.proto is Proto.TCP]
    return BindQuery(mine, tuple(bind for bind in tcp if any(_overlap(bind, each) for each in mine)))


def _overlap(one: Bind, other: Bind) -> bool:
    return (
        one.family == other.family
        and one.port_start <= other.port_end
        and other.port_start <= one.port_end
        and one.network.overlaps(other.network)
    )


@dataclass(frozen=True, slots=True)
class AgentCount:
    """An agent's answer. sockets: TCP sockets of the queried binds by state ("established", "time_wait", ...). packets:
    of the proxy's datapath by verdict, of all tables."""

    sockets: Mapping[str, int]
    packets: Mapping[str, int]


class AgentClient:
    """The agent of one proxy."""

    def __init__(self, address: Address, port: int) -> None:
        host = f"[{address}]" if address.version == 6 else str(address)
        self.place = f"{host}:{port}"
        self._family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        self._address = (str(address), port)

    def count(self, query: BindQuery, timeout: float) -> AgentCount:
        """Send one request. timeout: seconds. Raises AgentError."""
        parameters = urlencode({"bind": [str(bind) for bind in query.all]}, doseq=True)
        answer = self._get(f"/v1/connections?{parameters}", timeout)
        try:
            binds, packets = _counts.validate_python(answer["binds"]), _packets.validate_python(answer["packets"])
            sockets: Counter[str] = Counter()
            for bind in query.own:
                sockets.update(binds[str(bind)])
        except (KeyError, TypeError, ValidationError) as error:
            raise AgentError(f"the answer from {self.place} is not from an agent of this version of glb") from error
        return AgentCount(sockets, packets)

    def _get(self, path: str, timeout: float) -> Any:
        try:
            answer = request(self._family, self._address, self.place, "GET", path, None, timeout, connect=timeout)
            said = json.loads(answer.content)
        except TimeoutError as error:
            raise AgentError(f"the proxy's agent at {self.place} did not answer within {timeout:.1f} s") from error
        except ConnectionResetError as error:
            raise AgentError(
                f"the proxy's agent at {self.place} closed the connection; the proxy's `sources` must "
                "contain this host's address"
            ) from error
        except OSError as error:
            raise AgentError(
                f"the proxy's agent at {self.place} cannot be reached: {error.strerror or error}"
            ) from error
        except (ValueError, HTTPException, ControlError) as error:
            raise AgentError(f"the answer from {self.place} is not from an agent of glb") from error
        if answer.status >= BAD_REQUEST:
            detail = said.get("detail") if isinstance(said, dict) else None
            raise AgentError(f"the proxy's agent at {self.place} refuses: {detail or answer.status}")
        return said
