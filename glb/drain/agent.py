"""Asking the agent of a proxy how many connections it holds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import TypeAdapter, ValidationError

from glb.config.model import Address
from glb.drain.binds import Wanted
from glb.drain.errors import AgentError

_counts = TypeAdapter(dict[str, dict[str, int]])
_packets = TypeAdapter(dict[str, int])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a proxy holds: TCP sockets of the wanted binds by state ("established", "time_wait", ...), and the packets
    of its datapath by verdict, of whatever table."""

    sockets: Mapping[str, int]
    packets: Mapping[str, int]


class Agent:
    """One proxy's agent. To be closed after use, or used in a `with` block."""

    def __init__(self, address: Address, port: int) -> None:
        host = f"[{address}]" if address.version == 6 else str(address)
        self.place = f"{host}:{port}"
        self._http = httpx.Client(base_url=f"http://{self.place}/v1", trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def count(self, wanted: Wanted, timeout: float) -> Answer:
        """Ask once. timeout: seconds. Raises AgentError."""
        answer = self._get("/connections", {"bind": [str(bind) for bind in wanted.asked]}, timeout)
        try:
            binds, packets = _counts.validate_python(answer["binds"]), _packets.validate_python(answer["packets"])
            sockets: Counter[str] = Counter()
            for bind in wanted.own:
                sockets.update(binds[str(bind)])
        except (KeyError, TypeError, ValidationError) as error:
            raise AgentError(f"what answers at {self.place} is no agent of this version of glb") from error
        return Answer(sockets, packets)

    def _get(self, path: str, query: Mapping[str, list[str]], timeout: float) -> Any:
        try:
            answer = self._http.get(path, params=query, timeout=timeout)
            said = answer.json()
        except httpx.TimeoutException as error:
            raise AgentError(f"the proxy's agent at {self.place} has not answered within {timeout:.1f} s") from error
        except httpx.TransportError as error:
            raise AgentError(f"the proxy's agent at {self.place} cannot be reached: {error}") from error
        except ValueError as error:
            raise AgentError(f"what answers at {self.place} is no agent of glb") from error
        if answer.is_error:
            detail = said.get("detail") if isinstance(said, dict) else None
            raise AgentError(f"the proxy's agent at {self.place} refuses: {detail or answer.status_code}")
        return said
