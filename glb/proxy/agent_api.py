# SPDX-License-Identifier: MIT
"""The read-only API of a proxy's agent: HTTP and JSON. Errors are {"detail": text}."""

from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from glb import __version__
from glb.config.bind_text import parse_bind
from glb.config.model import Bind, Listen, Proto
from glb.control.api import Api, InBackground
from glb.control.routes import ApiRouter, From
from glb.daemon.report import Report, read_report, report_path
from glb.datapath.counters import read_counters
from glb.datapath.pins import attached_interfaces
from glb.errors import ConfigError
from glb.explain.texts import ExplainText, explained_verdicts
from glb.metrics.stats import Stats, read_stats
from glb.proxy.connections import count_connections

_DESCRIPTION = (
    "The read-only API of a proxy's agent, by TCP. Connections from addresses outside the proxy's `sources` are reset. "
    'Errors are {"detail": text}.'
)
_MAX_BINDS = 1024
_FAILED = 503


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The agent's interface, listening addresses, and permitted clients. An empty `sources` permits all."""

    interface: str
    addresses: tuple[IPv4Address, ...]
    port: int
    sources: tuple[IPv4Network, ...]
    namespaces: tuple[str, ...]

    @property
    def places(self) -> tuple[Listen, ...]:
        return tuple(Listen(address, self.port) for address in self.addresses)


@dataclass(frozen=True, slots=True)
class ProxyStatusResponse(Report):
    """The proxy's status, the running version, and its packets by verdict since it was attached."""

    version: str = __version__
    packets: dict[str, int] = field(default_factory=dict)


class ConnectionsResponse(BaseModel):
    """The connections of each bind by state, and the packets of the proxy by verdict since it was attached."""

    interface: str
    binds: dict[str, dict[str, int]]
    packets: dict[str, int]


_settings = web.AppKey("settings", AgentSettings)

router = ApiRouter("agent")
connections_router = ApiRouter("agent")


def _settings_of(request: web.Request) -> AgentSettings:
    return request.app[_settings]


CurrentSettings = Annotated[AgentSettings, From(_settings_of)]


@router.get("/status")
async def status(settings: CurrentSettings, costly: InBackground) -> ProxyStatusResponse:
    """The proxy's status, and its packets by verdict."""
    return await costly(lambda: _status(settings))


@router.get("/stats")
async def stats(settings: CurrentSettings, costly: InBackground) -> list[Stats]:
    """Packets of the proxy's interface by verdict, and forwarded packets by next hop. Empty if no program is
    attached."""
    return await costly(lambda: [read_stats(name) for name in attached_interfaces() if name == settings.interface])


@router.get("/verdicts")
async def verdicts() -> list[ExplainText]:
    """The verdicts of a proxy: meaning, usual causes and remedy of each."""
    return explained_verdicts("proxy")


@connections_router.get("/connections")
async def connections(
    bind: Annotated[list[str], Field(max_length=_MAX_BINDS)], settings: CurrentSettings, costly: InBackground
) -> ConnectionsResponse:
    """Count the TCP connections of each bind. A bind is written as by `glbctl`: 203.0.113.10:80/tcp.

    A connection that several binds match is counted under the bind that a director would choose.
    """
    binds = [parse_bind(text) for text in bind]
    if any(bind.proto is not Proto.TCP for bind in binds):
        raise ConfigError("only tcp has connections")
    return await costly(lambda: _connections(settings, binds))


def create_api(settings: AgentSettings) -> Api:
    """The API. It uses only the settings of the daemon, and changes nothing."""
    return Api(
        title="glb proxy agent",
        description=_DESCRIPTION,
        routes=[*router.routes, *connections_router.routes],
        failed=_FAILED,
        bad_input=(ConfigError,),
        state=[(_settings, settings)],
    )


def create_control_api(interface: str) -> Api:
    """The same for the control socket, without the count of connections."""
    return Api(
        title="glb proxy",
        description="The read-only API of a proxy's daemon, on its control socket.",
        routes=router.routes,
        failed=_FAILED,
        state=[(_settings, AgentSettings(interface, (), 0, (), ()))],
    )


def _status(settings: AgentSettings) -> ProxyStatusResponse:
    report = read_report(report_path(settings.interface))
    return ProxyStatusResponse(**asdict(report), packets=read_counters(settings.interface, "proxy"))


def _connections(settings: AgentSettings, binds: list[Bind]) -> ConnectionsResponse:
    counts = count_connections(binds, settings.namespaces)
    named = {str(b): {state.name.lower(): number for state, number in counts[b].items()} for b in binds}
    return ConnectionsResponse(
        interface=settings.interface, binds=named, packets=read_counters(settings.interface, "proxy")
    )
