# SPDX-License-Identifier: MIT
"""The JSON files' shape, key by key as people write them; `to_model()` makes `model.py`'s values of them.

Types are strict: "true" is no boolean, 1 is not true, 80.0 is no port.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from glb.config import values
from glb.config.field import shown
from glb.config.health_schema import HealthCheckDefaultsSource, HealthChecksSource, Port, hold_share, policy
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
)
from glb.config.routing_schema import RoutingKey

Boolean = Annotated[bool, PlainValidator(values.boolean)]
Depth = Annotated[int, PlainValidator(values.integer(2, 8))]
Key16 = Annotated[bytes, PlainValidator(values.key16)]
Mtu = Annotated[int, PlainValidator(values.integer(1280, 65535))]
Name = Annotated[str, PlainValidator(values.name)]


class Source(BaseModel):
    """A JSON object in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BindSource(Source):
    ip: Annotated[Network, PlainValidator(values.network)]
    proto: Annotated[Proto, PlainValidator(values.one_of(Proto))]
    port: Port | None = None
    port_start: Port | None = None
    port_end: Port | None = None

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
        start, end = self.port or self.port_start, self.port or self.port_end
        assert start is not None
        assert end is not None
        return Bind(self.ip, self.proto, start, end)


class BackendSource(Source):
    """`healthy` may be left out here and is then true; GitHub's compiler takes a missing one for false."""

    ip: Annotated[Address, PlainValidator(values.unicast)]
    state: Annotated[State, PlainValidator(values.one_of(State))]
    healthy: Boolean = True
    healthchecks: HealthChecksSource = HealthChecksSource()
    weight: Annotated[float, PlainValidator(values.weight)] = 1.0
    zone: Name | None = None

    def to_model(self, *defaults: HealthCheckDefaultsSource) -> Backend:
        checks = self.healthchecks.to_model()
        followed = policy(*(level.said() for level in (*defaults, self.healthchecks)))
        return Backend(self.ip, self.state, self.healthy, checks, self.weight, self.zone, followed)


class TableSource(Source):
    name: Name
    hash_key: Key16
    seed: Key16
    binds: tuple[BindSource, ...]
    backends: tuple[BackendSource, ...]
    depth: Depth = 3
    healthchecks: HealthCheckDefaultsSource = HealthCheckDefaultsSource()

    def to_model(self, defaults: HealthCheckDefaultsSource) -> Table:
        binds = tuple(bind.to_model() for bind in self.binds)
        backends = tuple(backend.to_model(defaults, self.healthchecks) for backend in self.backends)
        share = hold_share(defaults, self.healthchecks)
        return Table(self.name, self.hash_key, self.seed, binds, backends, self.depth, share)


class ForwardingTablesSource(Source):
    tables: tuple[TableSource, ...]
    healthchecks: HealthCheckDefaultsSource = HealthCheckDefaultsSource()

    def to_model(self) -> ForwardingTables:
        return ForwardingTables(tuple(table.to_model(self.healthchecks) for table in self.tables))


class HashFieldsSource(Source):
    """In an object that is there, a field that is left out is not hashed: as in GitHub's director."""

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


class MetricsSource(Source):
    listen: Annotated[Listen, PlainValidator(values.listen)]
    sources: tuple[Annotated[Network, PlainValidator(values.network)], ...] = ()

    def to_model(self) -> Metrics:
        return Metrics(self.listen, self.sources)


class DirectorSource(BaseModel):
    """Further keys belong to GitHub's DPDK director and are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    outbound_gateway_mac: Annotated[str, PlainValidator(values.mac)] | None = None
    outbound_src_ip: Annotated[IPv4Address, PlainValidator(values.unicast_ipv4)]
    forward_icmp_ping_responses: Boolean | None = None
    icmp_echo: Annotated[Echo, PlainValidator(values.one_of(Echo))] | None = None
    hash_fields: HashFieldsSource = HashFieldsSource(src_addr=True)
    alt_hash_fields: HashFieldsSource | None = None
    copy_dscp: Boolean = False
    egress: Annotated[Egress, PlainValidator(values.one_of(Egress))] = Egress.SAME
    mtu: Mtu | None = None
    statsd_port: Port | None = None
    routing: RoutingKey = None
    metrics: MetricsSource | None = None

    @model_validator(mode="after")
    def _one_rule_for_echoes(self) -> Self:
        """GitHub's key only says whether echoes are forwarded, so `false` goes with both other choices."""
        forward, echo = self.forward_icmp_ping_responses, self.icmp_echo
        if None not in (forward, echo) and forward != (echo is Echo.FORWARD):
            raise values.problem(
                f'"icmp_echo" is "{echo}", but "forward_icmp_ping_responses" is {shown(forward)}; leave one out'
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


@dataclass(frozen=True, slots=True)
class NonEmpty:
    """In the annotation of a required list: what to do if it is missing or empty."""

    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"minItems": 1}

    def _check(self, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if not entries:
            raise values.problem(f"empty; {self.remedy}")
        return entries


class AgentSource(Source):
    port: Port = AGENT_PORT
    listen: tuple[Annotated[IPv4Address, PlainValidator(values.unicast_ipv4)], ...] = ()

    def to_model(self) -> AgentConfig:
        return AgentConfig(self.port, self.listen)


class ProxySource(Source):
    sources: Annotated[
        tuple[Annotated[IPv4Network, PlainValidator(values.network_ipv4)], ...],
        NonEmpty(
            'list the addresses or networks of the directors and of all proxies, such as "sources": ["10.0.0.0/24"]; '
            'to accept tunnelled packets from any address, write "sources": ["0.0.0.0/0"]'
        ),
    ]
    vips: tuple[Annotated[Network, PlainValidator(values.vip)], ...] | None = None
    namespaces: tuple[Annotated[str, PlainValidator(values.namespace)], ...] = ()
    metrics: MetricsSource | None = None
    agent: Annotated[AgentSource | None, BeforeValidator(values.object_or_false)] = AgentSource()

    def to_model(self) -> ProxyConfig:
        return ProxyConfig(
            sources=self.sources,
            vips=self.vips,
            namespaces=self.namespaces,
            metrics=self.metrics.to_model() if self.metrics else None,
            agent=self.agent.to_model() if self.agent else None,
        )
