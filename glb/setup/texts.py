# SPDX-License-Identifier: MIT
"""The texts of glb's own files for a new host. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from glb.config.model import Address, Proto

_GUE_PORT = 19523


@dataclass(frozen=True, slots=True)
class ClientService:
    """What clients connect to."""

    vip: Address
    port: int
    proto: Proto


def director_text(address: IPv4Address) -> str:
    """director.conf. address: the source of the tunnel's packets."""
    return _text({"outbound_src_ip": str(address), "forward_icmp_ping_responses": True})


def table_text(
    name: str, services: Sequence[ClientService], backends: Sequence[IPv4Address], hash_key: bytes, seed: bytes
) -> str:
    """forwarding_table.json. hash_key, seed: 16 random bytes each."""
    binds = [{"ip": str(each.vip), "proto": str(each.proto), "port": each.port} for each in services]
    checks = _checks(services)
    table = {
        "name": name,
        "hash_key": hash_key.hex(),
        "seed": seed.hex(),
        "binds": binds,
        "backends": [{"ip": str(backend), "state": "active", "healthchecks": checks} for backend in backends],
    }
    return _text({"tables": [table]})


def proxy_text(sources: Sequence[IPv4Network]) -> str:
    """proxy.conf. sources: the networks of the directors and of all proxies."""
    return _text({"sources": [str(source) for source in sources]})


def _checks(services: Sequence[ClientService]) -> dict[str, int]:
    """The tunnel, and if there is one, the first TCP service through it: the VIP, as clients reach it."""
    port = next((each.port for each in services if each.proto is Proto.TCP), None)
    return {"gue": _GUE_PORT} | ({} if port is None else {"vip_tcp": port})


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
