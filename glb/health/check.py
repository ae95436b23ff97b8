# SPDX-License-Identifier: MIT
"""The checks that a backend's configuration asks for."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from glb.config.health import FULL_SIZE, HealthChecks, StatusRange
from glb.config.model import Address, Backend, Table


class Kind(StrEnum):
    """What a check asks. The names are the configuration's keys."""

    GUE = "gue"
    GUE_SIZE = "gue_size"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    VIP_TCP = "vip_tcp"
    VIP_HTTP = "vip_http"


@dataclass(frozen=True, slots=True)
class Check:
    """One question to one backend. Equal checks, of whichever tables, are asked once.

    `vip` is set for a check of the VIP inside the tunnel to the backend, whose own address is `address`. The fields
    after it are those of HTTP, and have their defaults elsewhere. `host` is the Host header, and the name that TLS
    asks for. `size` is set for GUE_SIZE: the most bytes of the outer IP packet.
    """

    kind: Kind
    address: Address
    port: int
    vip: Address | None = None
    uri: str = "/"
    host: str | None = None
    statuses: tuple[StatusRange, ...] = ()
    verify: bool = False
    size: int | None = None

    @property
    def label(self) -> str:
        """How people are told of it, next to the backend's address: such as "http 80"."""
        if self.size is not None:
            return f"{self.kind} {'full' if self.size == FULL_SIZE else self.size}"
        return f"{self.kind} {self.port}"

    @property
    def key(self) -> str:
        """The same text for equal checks only, also after a restart."""
        statuses = ",".join(f"{first}-{last}" for first, last in self.statuses)
        facts = (self.kind, self.address, self.port, self.vip, self.uri, self.host, statuses, self.verify)
        sizes = () if self.size is None else (self.size,)  # keys of other checks are those of before an upgrade
        return " ".join(map(str, (*facts, *sizes)))

    @property
    def target(self) -> Address:
        """Whom the innermost packet is for."""
        return self.address if self.vip is None else self.vip


def checks_of(table: Table, backend: Backend) -> tuple[Check, ...]:
    """The checks of one of the table's backends: those of its own address first."""
    return tuple(_checks(table, backend.address, backend.healthchecks))


def _checks(table: Table, address: Address, asked: HealthChecks) -> Iterator[Check]:
    uri, host, statuses = asked.http_uri or "/", asked.http_host, asked.http_status
    if asked.gue is not None:
        yield Check(Kind.GUE, address, asked.gue)
    if asked.gue is not None and asked.gue_size is not None:
        yield Check(Kind.GUE_SIZE, address, asked.gue, size=asked.gue_size)
    if asked.tcp is not None:
        yield Check(Kind.TCP, address, asked.tcp)
    if asked.http is not None:
        yield Check(Kind.HTTP, address, asked.http, None, uri, host, statuses)
    if asked.https is not None:
        yield Check(Kind.HTTPS, address, asked.https, None, uri, host, statuses, asked.https_verify)
    if asked.vip_tcp is not None:
        yield Check(Kind.VIP_TCP, address, asked.vip_tcp, table.vip(asked.vip_tcp))
    if asked.vip_http is not None:
        yield Check(Kind.VIP_HTTP, address, asked.vip_http, table.vip(asked.vip_http), uri, host, statuses)
