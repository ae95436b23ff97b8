"""The JSON files' shape, key by key as people write them; `to_model()` makes `model.py`'s values of them.

Types are strict: "true" is no boolean, 1 is not true, 80.0 is no port.
"""

from ipaddress import IPv4Address
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator

from glb.config import values
from glb.config.model import (
    Address,
    Backend,
    Bind,
    DirectorConfig,
    ForwardingTables,
    HashFields,
    HealthCheckPolicy,
    HealthChecks,
    Network,
    Proto,
    State,
    Table,
)

Boolean = Annotated[bool, PlainValidator(values.boolean)]
Depth = Annotated[int, PlainValidator(values.integer(2, 8))]
Key16 = Annotated[bytes, PlainValidator(values.key16)]
Milliseconds = Annotated[int, PlainValidator(values.integer(1, 3_600_000))]
Name = Annotated[str, PlainValidator(values.name)]
Port = Annotated[int, PlainValidator(values.port)]
Trigger = Annotated[int, PlainValidator(values.integer(1, 1000))]


class Source(BaseModel):
    """A JSON object in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BindSource(Source):
    ip: Annotated[Network, PlainValidator(values.network)]
    proto: Annotated[Proto, PlainValidator(values.proto)]
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


class HealthChecksSource(Source):
    http: Port | None = None
    http_uri: Annotated[str, PlainValidator(values.uri_path)] | None = None
    tcp: Port | None = None
    gue: Port | None = None
    fou: Port | None = None

    def to_model(self) -> HealthChecks:
        return HealthChecks(self.http, self.http_uri, self.tcp, self.gue, self.fou)


class BackendSource(Source):
    """`healthy` may be left out here and is then true; GitHub's compiler takes a missing one for false."""

    ip: Annotated[Address, PlainValidator(values.unicast)]
    state: Annotated[State, PlainValidator(values.state)]
    healthy: Boolean = True
    healthchecks: HealthChecksSource = HealthChecksSource()

    def to_model(self) -> Backend:
        return Backend(self.ip, self.state, self.healthy, self.healthchecks.to_model())


class TableSource(Source):
    name: Name
    hash_key: Key16
    seed: Key16
    binds: tuple[BindSource, ...]
    backends: tuple[BackendSource, ...]
    depth: Depth = 3

    def to_model(self) -> Table:
        binds = tuple(bind.to_model() for bind in self.binds)
        backends = tuple(backend.to_model() for backend in self.backends)
        return Table(self.name, self.hash_key, self.seed, binds, backends, self.depth)


class HealthCheckPolicySource(Source):
    interval_ms: Milliseconds = 2000
    timeout_ms: Milliseconds = 1000
    trigger: Trigger = 3

    def to_model(self) -> HealthCheckPolicy:
        return HealthCheckPolicy(self.interval_ms, self.timeout_ms, self.trigger)


class ForwardingTablesSource(Source):
    tables: tuple[TableSource, ...]
    healthchecks: HealthCheckPolicySource = HealthCheckPolicySource()

    def to_model(self) -> ForwardingTables:
        tables = tuple(table.to_model() for table in self.tables)
        return ForwardingTables(tables, self.healthchecks.to_model())


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


class DirectorSource(BaseModel):
    """Further keys belong to GitHub's DPDK director and are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    outbound_gateway_mac: Annotated[str, PlainValidator(values.mac)]
    outbound_src_ip: Annotated[IPv4Address, PlainValidator(values.unicast_ipv4)]
    forward_icmp_ping_responses: Boolean = False
    hash_fields: HashFieldsSource = HashFieldsSource(src_addr=True)
    alt_hash_fields: HashFieldsSource | None = None
    statsd_port: Port | None = None

    def to_model(self) -> DirectorConfig:
        return DirectorConfig(
            self.outbound_gateway_mac,
            self.outbound_src_ip,
            self.forward_icmp_ping_responses,
            self.hash_fields.to_model(),
            self.alt_hash_fields.to_model() if self.alt_hash_fields else None,
            self.statsd_port,
        )
