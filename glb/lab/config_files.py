# SPDX-License-Identifier: MIT
"""glb's own configuration files for the lab: the forwarding table, and each director's settings."""

import json
from collections.abc import Sequence
from typing import Any

from glb.lab.hosts import DC_NET4, HTTP_PORT, METRICS_PORT, VIP4, VIP6, LabHost
from glb.lab.routing import LabRouting, director_key

TABLE_NAME = "web"
HASH_KEY = "676c622d6c61622d686173682d6b6579"
SEED = "676c622d6c61622d726f772d73656564"
_DNS_PORT = 53
_GUE_PORT = 19523
_SLOW_INTERVAL_MS = 400


def forwarding_table(proxies: Sequence[LabHost], health_checks: bool = True) -> str:
    """One table for the VIPs of both families, with every proxy active. Recovered backends are detected soon."""
    table = {
        "name": TABLE_NAME,
        "hash_key": HASH_KEY,
        "seed": SEED,
        "binds": [
            {"ip": str(vip), "proto": protocol, "port": port}
            for protocol, port in (("tcp", HTTP_PORT), ("udp", _DNS_PORT))
            for vip in (VIP4, VIP6)
        ],
        "backends": [_backend(proxy, health_checks) for proxy in proxies],
    }
    return _text({"tables": [table], "healthchecks": {"slow_interval_ms": _SLOW_INTERVAL_MS}})


def director(host: LabHost, routing: LabRouting | None = None) -> str:
    """Without a gateway's MAC: the proxies are neighbours on the datacenter's bridge."""
    config: dict[str, Any] = {
        "outbound_src_ip": _ipv4(host),
        "forward_icmp_ping_responses": True,
        "metrics": _metrics(host),
    }
    if routing is not None:
        config["routing"] = director_key(host, routing)
    return _text(config)


def proxy(host: LabHost) -> str:
    """A proxy accepts packets from the network of the directors and proxies."""
    return _text({"sources": [str(DC_NET4)], "metrics": _metrics(host)})


def _metrics(host: LabHost) -> dict[str, str]:
    return {"listen": f"{_ipv4(host)}:{METRICS_PORT}"}


def _backend(proxy: LabHost, health_checks: bool) -> dict[str, Any]:
    backend: dict[str, Any] = {"ip": _ipv4(proxy), "state": "active", "healthy": True}
    if health_checks:
        backend["healthchecks"] = {"http": HTTP_PORT, "gue": _GUE_PORT}
    return backend


def _ipv4(host: LabHost) -> str:
    if host.ipv4 is None:
        raise ValueError(f"{host.name} has no IPv4 address")
    return str(host.ipv4.ip)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
