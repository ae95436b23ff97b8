# SPDX-License-Identifier: MIT
"""Random configurations: the documents that a director is started with, with binds that overlap."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from .director import Director
from .places import CONFIG, DIRECTOR_MAC
from .setup import FIELDS, packed_address, packed_mac

PORTS = (1, 53, 80, 443, 1000, 1500, 2000, 65535)
PREFIXES = {4: (7, 8, 16, 24, 28, 30, 31, 32, 32, 32), 6: (3, 32, 48, 64, 112, 120, 127, 128, 128, 128)}
BASES = {4: int(IPv4Address("203.0.113.0")), 6: int(IPv6Address("2001:db8:f::"))}
STATES = ("active", "active", "active", "active", "filling", "draining", "draining", "inactive")


def random_director(rng: random.Random) -> Director:
    """A model with a random configuration that glb should accept."""
    tables = random_tables(rng)
    config = random_config(rng)
    hops = [packed_address(backend["ip"]) for table in tables for backend in table["backends"]]
    next_hops = {hop: b"\x02\0\0\x01" + hop[2:] for hop in hops if rng.random() < 0.9}
    mtus = {hop: rng.choice((552, 1280, 1400, 1500)) for hop in hops if rng.random() < 0.2}
    return Director(config, tuple(tables), packed_mac(DIRECTOR_MAC), rng.choice((1300, 1500, 9000)), next_hops, mtus)


def random_config(rng: random.Random) -> dict[str, Any]:
    config = dict(CONFIG)
    if rng.random() < 0.3:
        del config["outbound_gateway_mac"]
    if rng.random() < 0.7:
        config["icmp_echo"] = rng.choice(("forward", "answer", "pass"))
    elif rng.random() < 0.7:
        config["forward_icmp_ping_responses"] = rng.random() < 0.7
    for key in ("hash_fields", "alt_hash_fields"):
        if rng.random() < 0.5:
            config[key] = random_fields(rng)
    if rng.random() < 0.5:
        config["copy_dscp"] = rng.random() < 0.7
    if rng.random() < 0.6:
        config["mtu"] = rng.choice((1376, 1400, 1500, 2000, 9000))  # IPv6 fits with 16 hops
    return config


def random_fields(rng: random.Random) -> dict[str, bool]:
    """At least one field, and often no ports."""
    names = FIELDS[:2] if rng.random() < 0.4 else FIELDS
    fields = {name: name in names and rng.random() < 0.5 for name in FIELDS}
    return fields if any(fields.values()) else fields | {"src_addr": True}


def random_tables(rng: random.Random) -> list[dict[str, Any]]:
    """Binds may be equal, in one table and in several."""
    return [random_table(rng, number) for number in range(rng.choice((1, 1, 2, 3, 5)))]


def random_table(rng: random.Random, number: int) -> dict[str, Any]:
    table = {
        "name": f"table{number}",
        "hash_key": rng.randbytes(16).hex(),
        "seed": rng.randbytes(16).hex(),
        "binds": [random_bind(rng) for _ in range(rng.choice((1, 2, 4, 8)))],
        "backends": random_backends(rng),
    }
    return table | ({"depth": rng.randint(2, 8)} if rng.random() < 0.8 else {})


def random_bind(rng: random.Random) -> dict[str, Any]:
    version = rng.choice((4, 4, 6))
    address = type(IPv4Address(0) if version == 4 else IPv6Address(0))(BASES[version] + rng.randrange(8))
    network = ip_network((address, rng.choice(PREFIXES[version])), strict=False)
    ip = str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    bind = {"ip": ip, "proto": rng.choice(("tcp", "tcp", "udp"))}
    first, last = sorted(rng.choices(PORTS, k=2))
    if rng.random() < 0.2:
        first = 1000 + rng.randrange(3)
        last = first + 5
    if first == last or rng.random() < 0.5:
        return bind | {"port": first}
    return bind | {"port_start": first, "port_end": last}


def random_backends(rng: random.Random) -> list[dict[str, Any]]:
    addresses = rng.sample(range(11, 60), rng.choice((1, 2, 3, 5, 8, 12)))
    troubled, weighted, zoned = (rng.random() < 0.5 for _ in range(3))
    backends: list[dict[str, Any]] = [
        {
            "ip": f"10.0.{rng.randrange(4)}.{address}",
            "state": rng.choice(STATES) if troubled else "active",
            "healthy": not troubled or rng.random() < 0.7,
        }
        for address in addresses
    ]
    for backend in backends:
        if weighted and rng.random() < 0.7:
            backend["weight"] = rng.choice((0.25, 0.5, 1, 2, 3.5, 10, 1000))
        if zoned and rng.random() < 0.8:
            backend["zone"] = rng.choice(("a", "a", "b", "c"))
    if all(backend["state"] == "inactive" for backend in backends):
        backends[0]["state"] = "filling"
    return backends
