# SPDX-License-Identifier: MIT
"""A forwarding table source and a director's configuration for tests to begin with."""

import copy
from typing import Any

CHECKS = {"http": 80, "gue": 19523}

TABLES: dict[str, Any] = {
    "tables": [
        {
            "name": "web",
            "hash_key": "00112233445566778899aabbccddeeff",
            "seed": "ffeeddccbbaa99887766554433221100",
            "binds": [
                {"ip": "198.51.100.1", "proto": "tcp", "port": 80},
                {"ip": "2001:db8::/64", "proto": "tcp", "port_start": 8000, "port_end": 8080},
            ],
            "backends": [
                {
                    "ip": "10.0.0.1",
                    "state": "active",
                    "healthy": True,
                    "healthchecks": {"http": 80, "gue": 19523},
                },
                {
                    "ip": "10.0.0.2",
                    "state": "active",
                    "healthy": True,
                    "healthchecks": {"http": 80, "gue": 19523},
                },
                {
                    "ip": "10.0.0.3",
                    "state": "draining",
                    "healthy": True,
                    "healthchecks": {"http": 80, "gue": 19523},
                },
            ],
        },
        {
            "name": "dns",
            "hash_key": "0123456789abcdef0123456789ABCDEF",
            "seed": "fedcba9876543210fedcba9876543210",
            "binds": [{"ip": "198.51.100.0/24", "proto": "udp", "port": 53}],
            "backends": [
                {"ip": "10.0.0.2", "state": "filling"},
                {"ip": "10.0.0.4", "state": "inactive", "healthy": False},
            ],
            "depth": 2,
        },
    ],
    "healthchecks": {"interval_ms": 500, "timeout_ms": 250, "trigger": 2},
}

DIRECTOR: dict[str, Any] = {
    "outbound_gateway_mac": "02-00-5E-10-00-01",
    "outbound_src_ip": "10.0.0.100",
    "forward_icmp_ping_responses": True,
    "hash_fields": {"src_addr": True, "src_port": True},
    "alt_hash_fields": {"dst_addr": True},
    "statsd_port": 8125,
    "num_worker_queues": 2,
    "lcores": {"lcore-1": {"rx": True}},
}


def tables() -> dict[str, Any]:
    """A valid source of two tables, to be changed at will."""
    return copy.deepcopy(TABLES)


def director() -> dict[str, Any]:
    """A valid configuration, to be changed at will."""
    return copy.deepcopy(DIRECTOR)


MISSING = object()


def put(source: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set the value at a path such as tables.0.name; MISSING takes it out."""
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place: Any = source
    for step in steps:
        place = place[step]
    if value is MISSING:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return source
