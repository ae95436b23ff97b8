# SPDX-License-Identifier: MIT
"""The structure of the JSON files, key by key; `to_model()` converts it to the values of `model.py`.

Types are strict: "true" is not a boolean, 1 is not true, 80.0 is not a port.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from glb.config import kinds, values
from glb.config.field import shown
from glb.config.github_object import GitHubObject
from glb.config.health_schema import HealthCheckDefaultsSource, HealthChecksSource, Port, hold_share, policy
from glb.config.limits import MAX_NAMESPACES
from glb.config.model import (
    AGENT_PORT,
    Address,
    AgentConfig,
    Backend,
    Bind,
    DirectorConfig,
    Echo,
    Egress,
    ForwardingTables,
    HashFields,
    Listen,
    Metrics,
    Network,
    Proto,
    ProxyConfig,
    State,
    Table,
    default_name,
)
from glb.config.routing_schema import RoutingKey

BindPort = Annotated[int, kinds.BIND_PORT]
Boolean = Annotated[bool, kinds.BOOLEAN]
Depth = Annotated[int, kinds.whole(2, 8)]
Key16 = Annotated[bytes, kinds.KEY16]
Mtu = Annotated[int, kinds.whole(1280, 65535)]
Name = Annotated[str, kinds.NAME]


NOT_EMPTY = Field(json_schema_extra={"minItems": 1})
"""For the JSON Schema; the messages are in glb/config/check.py."""
EditorSchema = Annotated[Annotated[str, kinds.TEXT] | None, Field(alias="$schema")]
"""The JSON Schema by which an editor checks the file; glb does not read it."""


class JsonObject(BaseModel):
    """A JSON object in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_SINGLE_PORT: JsonDict = {
    "required": ["port"],
    "properties": {"port": {"type": "integer"}, "port_start": {"type": "null"}, "port_end": {"type": "null"}},
}
_PORT_RANGE: JsonDict = {
    "required": ["port_start", "port_end"],
    "properties": {"port_start": {"type": "integer"}, "port_end": {"type": "integer"}, "port": {"type": "null"}},
}


class BindSource(GitHubObject):
    model_config = ConfigDict(json_schema_extra={"anyOf": [_SINGLE_PORT, _PORT_RANGE]})

    ip: Annotated[values.Interface, kinds.INTERFACE]
    proto: Annotated[Proto, kinds.one_of(Proto)]
    port: BindPort | None = None
    port_start: BindPort | None = None
    port_end: BindPort | None = None

    @model_validator(mode="after")
    def _one_port_or_a_range(self) -> Self:
        ends = (self.port_start, self.port_end)
        if self.port is not None and ends != (None, None):
            raise values.problem('either "port", or "port_start" and "port_end", not both')
        if self.port is None and None in ends:
            raise values.problem('"port" is missing, or "port_start" and "port_end" for a range')
        if self.port_start is not None and self.port_end is not None and self.port_start > self.port_end:
            raise values.problem(f'"port_start" {self.port_start} is above "port_end" {self.port_end}')
        return self

    def to_model(self) -> Bind:
        start, end = (self.port_start, self.port_end) if self.port is None else (self.port, self.port)
        assert start is not None
        assert end is not None
        return Bind.at(self.ip, self.proto, start, end)


class BackendSource(GitHubObject):
    """`healthy` is optional and then true; GitHub's compiler treats a missing one as false."""

    ip: Annotated[Address, kinds.UNICAST]
    state: Annotated[State, kinds.one_of(State)]
    healthy: Boolean = True
    healthchecks: HealthChecksSource = HealthChecksSource()
    weight: Annotated[float, kinds.WEIGHT] = 1.0
    zone: Name | None = None

    def to_model(self, *defaults: HealthCheckDefaultsSource) -> Backend:
        checks = self.healthchecks.to_model()
        followed = policy(*(level.said() for level in (*defaults, self.healthchecks)))
        return Backend(self.ip, self.state, self.healthy, checks, self.weight, self.zone, followed)


class TableSource(GitHubObject):
    name: Annotated[str | None, kinds.TABLE_NAME] = None
    hash_key: Key16
    seed: Key16
    binds: Annotated[tuple[BindSource, ...], NOT_EMPTY]
    backends: Annotated[tuple[BackendSource, ...], NOT_EMPTY]
    depth: Depth = 3
    healthchecks: HealthCheckDefaultsSource = HealthCheckDefaultsSource()

    def to_model(self, defaults: HealthCheckDefaultsSource, number: int) -> Table:
        """number: of the table in the file, by which a table without a name is named."""
        binds = tuple(bind.to_model() for bind in self.binds)
        backends = tuple(backend.to_model(defaults, self.healthchecks) for backend in self.backends)
        share = hold_share(defaults, self.healthchecks)
        name = self.name or default_name(number)
        return Table(name, self.hash_key, self.seed, binds, backends, self.depth, share)


class ForwardingTablesSource(GitHubObject):
    tables: Annotated[tuple[TableSource, ...], NOT_EMPTY]
    healthchecks: HealthCheckDefaultsSource = HealthCheckDefaultsSource()
    editor_schema: EditorSchema = None

    def to_model(self) -> ForwardingTables:
        tables = (table.to_model(self.healthchecks, number) for number, table in enumerate(self.tables))
        return ForwardingTables(tuple(tables))


class HashFieldsSource(GitHubObject):
    """A field that the object does not contain is not hashed, as in GitHub's director."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [key], "properties": {key: {"const": True}}}
                for key in ("src_addr", "dst_addr", "src_port", "dst_port")
            ]
        }
    )

    src_addr: Boolean = False
    dst_addr: Boolean = False
    src_port: Boolean = False
    dst_port: Boolean = False

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not (self.src_addr or self.dst_addr or self.src_port or self.dst_port):
            raise values.problem("at least one of src_addr, dst_addr, src_port, dst_port must be true")
        return self

    def to_model(self) -> HashFields:
        return HashFields(self.src_addr, self.dst_addr, self.src_port, self.dst_port)


class MetricsSource(JsonObject):
    listen: Annotated[Listen, kinds.LISTEN]
    sources: tuple[Annotated[Network, kinds.NETWORK], ...] = ()

    def to_model(self) -> Metrics:
        return Metrics(self.listen, self.sources)


class DirectorSource(GitHubObject):
    outbound_gateway_mac: Annotated[str, kinds.MAC] | None = None
    outbound_src_ip: Annotated[IPv4Address, kinds.UNICAST_IPV4]
    forward_icmp_ping_responses: Boolean | None = None
    icmp_echo: Annotated[Echo, kinds.one_of(Echo)] | None = None
    hash_fields: HashFieldsSource = HashFieldsSource(src_addr=True)
    alt_hash_fields: HashFieldsSource | None = None
    copy_dscp: Boolean = False
    egress: Annotated[Egress, kinds.one_of(Egress)] = Egress.SAME
    mtu: Mtu | None = None
    statsd_port: Annotated[int | None, kinds.STATSD_PORT] = None
    routing: RoutingKey = None
    metrics: MetricsSource | None = None
    editor_schema: EditorSchema = None

    @model_validator(mode="after")
    def _one_rule_for_echoes(self) -> Self:
        """GitHub's key only says whether echoes are forwarded, so `false` is compatible with both other choices."""
        forward, echo = self.forward_icmp_ping_responses, self.icmp_echo
        if None not in (forward, echo) and forward != (echo is Echo.FORWARD):
            raise values.problem(
                f'"icmp_echo" is "{echo}", but "forward_icmp_ping_responses" is {shown(forward)}; remove one'
            )
        return self

    def to_model(self) -> DirectorConfig:
        return DirectorConfig(
            outbound_src_ip=self.outbound_src_ip,
            outbound_gateway_mac=self.outbound_gateway_mac,
            icmp_echo=self.icmp_echo or (Echo.FORWARD if self.forward_icmp_ping_responses else Echo.PASS),
            hash_fields=self.hash_fields.to_model(),
            alt_hash_fields=self.alt_hash_fields.to_model() if self.alt_hash_fields else None,
            copy_dscp=self.copy_dscp,
            egress=self.egress,
            mtu=self.mtu,
            statsd_port=self.statsd_port,
            routing=self.routing.to_model(self.outbound_src_ip) if self.routing else None,
            metrics=self.metrics.to_model() if self.metrics else None,
        )


class AgentSource(JsonObject):
    port: Port = AGENT_PORT
    listen: tuple[Annotated[IPv4Address, kinds.UNICAST_IPV4], ...] = ()

    def to_model(self) -> AgentConfig:
        return AgentConfig(self.port, self.listen)


Agent = Annotated[AgentSource | None, kinds.OrWord(values.object_or_false, word=False, is_null_allowed=False)]


class ProxySource(JsonObject):
    sources: Annotated[
        tuple[Annotated[IPv4Network, kinds.NETWORK_IPV4], ...],
        kinds.NonEmpty(
            'list the addresses or networks of the directors and of all proxies, such as "sources": ["10.0.0.0/24"]; '
            'to accept tunnelled packets from any address, write "sources": ["0.0.0.0/0"]'
        ),
    ]
    vips: tuple[Annotated[Network, kinds.VIP], ...] | None = None
    namespaces: Annotated[
        tuple[Annotated[str, kinds.NAMESPACE], ...], Field(json_schema_extra={"maxItems": MAX_NAMESPACES})
    ] = ()
    metrics: MetricsSource | None = None
    agent: Agent = AgentSource()
    editor_schema: EditorSchema = None

    def to_model(self) -> ProxyConfig:
        return ProxyConfig(
            sources=self.sources,
            vips=self.vips,
            namespaces=self.namespaces,
            metrics=self.metrics.to_model() if self.metrics else None,
            agent=self.agent.to_model() if self.agent else None,
        )
