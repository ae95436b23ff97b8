# SPDX-License-Identifier: MIT
"""The shape of a director's key `routing`; `to_model()` makes `routing.py`'s values of it."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from glb.config import kinds, values
from glb.config.model import Address, Network
from glb.config.routing import BgpPeer, Routing, SpeakerKind

Asn = Annotated[int, kinds.whole(1, 4_294_967_295)]
Boolean = Annotated[bool, kinds.BOOLEAN]
HoldTime = Annotated[int, kinds.whole(3, 65535)]
Ipv4 = Annotated[IPv4Address, kinds.HOST_IPV4]
Ipv6 = Annotated[IPv6Address, kinds.HOST_IPV6]


class PeerSource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[Address, kinds.UNICAST]
    asn: Asn = Field(alias="as")
    password: Annotated[str, kinds.MD5_PASSWORD] | None = None
    bfd: Boolean = False
    multihop: Annotated[int, kinds.whole(2, 255)] | None = None
    local_address: Annotated[Address, kinds.UNICAST] | None = None
    next_hop_ipv4: Ipv4 | None = None
    next_hop_ipv6: Ipv6 | None = None

    @model_validator(mode="after")
    def _one_family_a_session(self) -> Self:
        local = self.local_address
        if local is not None and local.version != self.address.version:
            raise values.problem(f'"local_address" {local} is not of the family of "address" {self.address}')
        return self

    def to_model(self) -> BgpPeer:
        return BgpPeer(
            self.address,
            self.asn,
            self.password,
            self.bfd,
            self.multihop,
            self.local_address,
            self.next_hop_ipv4,
            self.next_hop_ipv6,
        )


_OWN_SESSIONS: JsonDict = {
    "required": ["local_as", "peers"],
    "properties": {"local_as": {"type": "integer"}, "peers": {"minItems": 1}, "control": {"type": "null"}},
}
_OPERATORS_BIRD: JsonDict = {
    "required": ["control"],
    "properties": {
        "speaker": {"const": "bird"},
        "control": {"type": "string"},
        "local_as": {"type": "null"},
        "peers": {"maxItems": 0},
    },
}


class RoutingSource(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"anyOf": [{"properties": {"speaker": {"const": "none"}}}, _OWN_SESSIONS, _OPERATORS_BIRD]},
    )

    speaker: Annotated[SpeakerKind, kinds.one_of(SpeakerKind)]
    local_as: Asn | None = None
    router_id: Ipv4 | None = None
    peers: tuple[PeerSource, ...] = ()
    communities: tuple[Annotated[str, kinds.COMMUNITY], ...] = ()
    prefixes: tuple[Annotated[Network, kinds.NETWORK], ...] | None = None
    hold_time: HoldTime = 9
    bfd_interval_ms: Annotated[int, kinds.whole(10, 60_000)] = 300
    bfd_multiplier: Annotated[int, kinds.whole(1, 255)] = 3
    drain_timeout: Annotated[int, kinds.whole(0, 3600)] = 30
    control: Annotated[Path, kinds.ABSOLUTE_PATH] | None = None

    @model_validator(mode="after")
    def _whose_sessions(self) -> Self:
        """The sessions are glb's or, with "control", those of the operator's BIRD."""
        if self.speaker is SpeakerKind.NONE:
            return self
        if self.control is None:
            self._require_sessions()
        elif self.speaker is not SpeakerKind.BIRD:
            raise values.problem('"control" is the control socket of a BIRD; the speaker is "exabgp"')
        elif self.peers or self.local_as is not None:
            raise values.problem('with "control" the sessions are those of that BIRD; remove "peers" and "local_as"')
        return self

    def _require_sessions(self) -> None:
        if self.local_as is None:
            raise values.problem('"local_as" is missing')
        if not self.peers:
            raise values.problem('"peers" is missing or empty; list at least one router')

    def to_model(self, router_id: IPv4Address) -> Routing:
        """router_id: used if the file has none."""
        return Routing(
            speaker=self.speaker,
            local_as=self.local_as or 0,
            router_id=self.router_id or router_id,
            peers=tuple(peer.to_model() for peer in self.peers),
            communities=self.communities,
            prefixes=self.prefixes,
            hold_time=self.hold_time,
            bfd_interval_ms=self.bfd_interval_ms,
            bfd_multiplier=self.bfd_multiplier,
            drain_timeout=self.drain_timeout,
            control=self.control,
        )


def _spelled_out(value: object) -> object:
    return {"speaker": "none"} if value == "none" else value


RoutingKey = Annotated[RoutingSource | None, kinds.OrWord(_spelled_out, word="none", is_null_allowed=True)]
"""The object, or the one word "none"."""
