"""What a proxy's agent answers: HTTP and JSON, for reading only. Errors are {"detail": text}."""

import asyncio
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel

from glb import __version__
from glb.config.bind_text import parse_bind
from glb.config.errors import ConfigError
from glb.config.model import Listen, Proto
from glb.control.refusal import answer_refusals, refusals
from glb.daemon.report import Report, read_report, report_path
from glb.datapath.counters import read_counters
from glb.proxy.connections import count_connections

_DESCRIPTION = (
    "What a proxy's agent answers by TCP, for reading only, to those who are among the proxy's `sources`; "
    'to others 403. Errors are {"detail": text}.'
)
_MAX_BINDS = 1024
_FAILED = 503


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What an agent answers about, where, and to whom. No sources: to anybody."""

    interface: str
    addresses: tuple[IPv4Address, ...]
    port: int
    sources: tuple[IPv4Network, ...]
    namespaces: tuple[str, ...]

    @property
    def places(self) -> tuple[Listen, ...]:
        return tuple(Listen(address, self.port) for address in self.addresses)


@dataclass(frozen=True, slots=True)
class Status(Report):
    """The proxy's report of itself, the version that runs, and its packets by verdict since it was attached."""

    version: str = __version__
    packets: dict[str, int] = field(default_factory=dict)


class Connections(BaseModel):
    """The connections of each bind by state, and the packets of the proxy by verdict since it was attached."""

    interface: str
    binds: dict[str, dict[str, int]]
    packets: dict[str, int]


def create_app(settings: AgentSettings) -> FastAPI:
    """The application. It asks nothing of the daemon but what the settings say, and cannot change anything."""
    app = FastAPI(
        title="glb proxy agent",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=refusals(_FAILED),
        dependencies=[Depends(_only(settings.sources))],
    )
    one_at_a_time = asyncio.Lock()  # a count of many sockets takes the processor's time: askers wait for one another

    @app.get("/v1/status")
    async def status() -> Status:
        """The proxy's report, and its packets by verdict."""
        report = read_report(report_path(settings.interface))
        packets = await asyncio.to_thread(read_counters, settings.interface, "proxy")
        return Status(**asdict(report), packets=packets)

    @app.get("/v1/connections")
    async def connections(bind: Annotated[list[str], Query(max_length=_MAX_BINDS)]) -> Connections:
        """Count the TCP connections of each bind, as `glbctl` writes them: 203.0.113.10:80/tcp. One that two of the
        binds match is counted under the one that a director would choose."""
        binds = [parse_bind(text) for text in bind]
        if any(wanted.proto is not Proto.TCP for wanted in binds):
            raise ConfigError("only tcp has connections")
        async with one_at_a_time:
            counts = await asyncio.to_thread(count_connections, binds, settings.namespaces)
            packets = await asyncio.to_thread(read_counters, settings.interface, "proxy")
        named = {str(b): {state.name.lower(): number for state, number in counts[b].items()} for b in binds}
        return Connections(interface=settings.interface, binds=named, packets=packets)

    answer_refusals(app, (ConfigError,), _FAILED)
    return app


def _only(sources: tuple[IPv4Network, ...]) -> Any:
    async def check(request: Request) -> None:
        asker = IPv4Address(request.client.host) if request.client else None
        if sources and not any(asker in source for source in sources if asker):
            raise HTTPException(403, f"{asker} is not one of the sources in this proxy's configuration")

    return check
