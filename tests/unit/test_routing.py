# SPDX-License-Identifier: MIT
"""Announced prefixes, and the configuration of speakers."""

import json
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from glb.config.model import Backend, Bind, Proto, State, Table
from glb.config.parse import parse_director
from glb.config.routing import Routing
from glb.errors import ConfigError
from glb.routing.bird_config import bird_config
from glb.routing.exabgp_config import exabgp_config, exabgp_routes
from glb.routing.prefixes import (
    LAST_RESORT_SECONDS,
    can_serve,
    last_resorts,
    not_carried,
    prefixes_to_announce,
    unreachable_behind,
)

PEER4 = {"address": "10.0.0.254", "as": 65000}
PEER6 = {"address": "2001:db8::fe", "as": 65000}


def routing(**keys: Any) -> Routing:
    source = {"outbound_src_ip": "10.0.0.1", "routing": {"speaker": "bird", "local_as": 65001, "peers": [PEER4]} | keys}
    found = parse_director(json.dumps(source), "director.conf").routing
    assert found is not None
    return found


def refused(key: Any) -> str:
    with pytest.raises(ConfigError) as error:
        parse_director(json.dumps({"outbound_src_ip": "10.0.0.1", "routing": key}), "director.conf")
    return str(error.value)


def table(*networks: str, healthy: bool = True, state: State = State.ACTIVE, name: str = "t") -> Table:
    binds = tuple(Bind(ip_network(network), Proto.TCP, 80, 80) for network in networks)
    return Table(name, bytes(16), bytes(16), binds, (Backend(ip_address("10.0.0.11"), state, healthy),))


def announced(routing: Routing, *tables: Table) -> list[str]:
    return [str(prefix) for prefix in prefixes_to_announce(routing, tables)]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"speaker": "quagga"}, 'routing.speaker: "quagga" is not one of bird, exabgp, none'),
        ({"speaker": "bird"}, 'routing: "local_as" is missing'),
        ({"speaker": "bird", "local_as": 1}, 'routing: "peers" is missing or empty; list at least one router'),
        ({"speaker": "bird", "local_as": 0, "peers": [PEER4]}, "routing.local_as: 0 is not a whole number from 1 to"),
        ({"speaker": "bird", "local_as": 1, "peers": [PEER4, PEER4]}, "10.0.0.254 is already routing.peers[0]"),
        ({"speaker": "bird", "local_as": 1, "peers": [{"address": "10.0.0.254"}]}, "routing.peers[0].as: missing"),
        ({"speaker": "bird", "local_as": 1, "peers": [PEER4 | {"asn": 1}]}, "routing.peers[0].asn: unknown key"),
        (
            {"speaker": "exabgp", "local_as": 1, "peers": [PEER4 | {"bfd": True}]},
            "routing.peers[0].bfd: ExaBGP does not support BFD; remove the key, or use BIRD",
        ),
        (
            {"speaker": "bird", "local_as": 1, "peers": [PEER4 | {"local_address": "2001:db8::1"}]},
            'routing.peers[0]: "local_address" 2001:db8::1 is not of the family of "address" 10.0.0.254',
        ),
        (
            {"speaker": "bird", "local_as": 1, "peers": [PEER4 | {"password": 'a"'}]},
            "routing.peers[0].password: a pass",
        ),
        (
            {"speaker": "bird", "local_as": 1, "peers": [PEER4], "communities": ["1:65536"]},
            'routing.communities[0]: "1:65536" is not a community such as 65000:100',
        ),
        ({"speaker": "exabgp", "control": "/run/bird.ctl"}, 'routing: "control" is the control socket of a BIRD'),
        (
            {"speaker": "bird", "control": "/b", "local_as": 1},
            'routing: with "control" the sessions are those of that BIRD',
        ),
    ],
)
def test_invalid_routing_is_refused_by_file_field_and_value(key: Any, message: str) -> None:
    assert message in refused(key)
    assert refused(key).startswith("director.conf: routing")


@pytest.mark.parametrize("key", ["none", {"speaker": "none"}, None])
def test_routing_may_be_left_to_the_operator(key: Any) -> None:
    config = parse_director(json.dumps({"outbound_src_ip": "10.0.0.1", "routing": key}), "director.conf")

    assert config.routing is None or config.routing.speaker == "none"


def test_the_router_id_is_the_tunnels_source_unless_given() -> None:
    assert str(routing().router_id) == "10.0.0.1"
    assert str(routing(router_id="192.0.2.1").router_id) == "192.0.2.1"


def test_each_network_of_the_binds_is_announced_once() -> None:
    found = announced(
        routing(), table("2001:db8:f::1/128", "203.0.113.2/32"), table("203.0.113.2/32", "203.0.113.3/32")
    )

    assert found == ["203.0.113.2/32", "203.0.113.3/32", "2001:db8:f::1/128"]


def test_a_table_without_a_healthy_backend_is_not_announced() -> None:
    ill, inactive = table("203.0.113.1/32", healthy=False), table("203.0.113.2/32", state=State.INACTIVE)

    assert announced(routing(), ill, inactive, table("203.0.113.3/32")) == ["203.0.113.3/32"]


def test_a_table_of_draining_backends_stays_announced() -> None:
    assert can_serve(table("203.0.113.1/32", state=State.DRAINING))


def test_a_vip_is_announced_while_one_of_its_tables_can_serve() -> None:
    assert announced(routing(), table("203.0.113.1/32", healthy=False), table("203.0.113.1/32")) == ["203.0.113.1/32"]


def test_configured_prefixes_are_announced_while_they_can_serve() -> None:
    configured = routing(prefixes=["203.0.113.0/24", "198.51.100.0/24", "2001:db8:f::/64"])

    assert announced(configured, table("203.0.113.1/32"), table("198.51.100.1/32", healthy=False)) == ["203.0.113.0/24"]


def test_a_prefix_is_unreachable_while_all_its_tables_are() -> None:
    configured = routing(prefixes=["203.0.113.0/24", "198.51.100.0/24"])
    tables = table("203.0.113.1/32", name="a"), table("203.0.113.2/32", name="b"), table("198.51.100.1/32", name="c")

    def unreachable(*cut_off: str, wanted: Routing = configured) -> list[str]:
        return [str(prefix) for prefix in unreachable_behind(wanted, tables, cut_off)]

    assert unreachable() == []
    assert unreachable("a") == []
    assert unreachable("a", wanted=routing()) == ["203.0.113.1/32"]
    assert unreachable("a", "b") == ["203.0.113.0/24"]
    assert unreachable("a", "b", "c") == ["198.51.100.0/24", "203.0.113.0/24"]


def test_a_table_without_healthy_backends_is_no_last_resort() -> None:
    tables = table("203.0.113.1/32", name="a"), table("203.0.113.2/32", name="b", healthy=False)

    assert unreachable_behind(routing(), tables, {"a", "b"}) == (ip_network("203.0.113.1/32"),)


def test_a_prefix_stays_a_last_resort_for_a_while() -> None:
    """A director whose network comes and goes twice a second moves the flows once."""
    prefix = ip_network("203.0.113.1/32")
    seen: dict[Any, float] = {}
    states = []
    for tenth in range(600):
        seen = last_resorts(seen, [prefix] if 100 <= tenth < 200 and tenth % 5 == 0 else [], tenth / 10)
        states.append(prefix in seen)

    changes = [tenth for tenth in range(1, 600) if states[tenth] != states[tenth - 1]]
    assert changes == [100, 195 + round(10 * LAST_RESORT_SECONDS)]


def test_a_prefix_without_a_peer_of_its_family_is_noticed() -> None:
    prefixes = [ip_network("203.0.113.1/32"), ip_network("2001:db8:f::1/128")]

    assert not_carried(routing(), prefixes) == (prefixes[1],)
    assert not_carried(routing(peers=[PEER4, PEER6]), prefixes) == ()
    assert not_carried(routing(peers=[PEER4 | {"next_hop_ipv6": "2001:db8::1"}]), prefixes) == ()


@pytest.mark.skipif(shutil.which("bird") is None, reason="needs bird2, which script/install --dev installs")
@pytest.mark.parametrize("graceful_shutdown", [0, 1, 2])
def test_bird_accepts_the_written_configuration(tmp_path: Path, graceful_shutdown: int) -> None:
    configured = routing(
        peers=[
            PEER4 | {"bfd": True, "password": "s3cret;{}", "next_hop_ipv6": "2001:db8::1"},
            PEER6 | {"multihop": 3, "local_address": "2001:db8::1"},
        ],
        communities=["65001:100", "65001:1:2"],
    )
    prefixes = [ip_network("203.0.113.1/32"), ip_network("2001:db8:f::/64")]
    path = tmp_path / "bird.conf"

    path.write_text(bird_config(configured, prefixes, tmp_path / "bird.log", prefixes[:graceful_shutdown]))

    done = subprocess.run(["bird", "-p", "-c", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    marked = [line for line in path.read_text().splitlines() if "bgp_community.add((65535, 0))" in line]
    assert [line.split()[1] for line in marked] == [str(prefix) for prefix in prefixes[:graceful_shutdown]]


def test_exabgp_accepts_the_written_configuration(tmp_path: Path) -> None:
    configured = routing(
        speaker="exabgp",
        peers=[PEER4 | {"password": "s3cret;{}", "next_hop_ipv6": "2001:db8::1"}, PEER6 | {"multihop": 3}],
    )
    path = tmp_path / "exabgp.conf"

    path.write_text(exabgp_config(configured, ["/bin/true"]))

    exabgp = Path(sys.executable).parent / "exabgp"
    done = subprocess.run([exabgp, "validate", "-n", "-v", path], capture_output=True, text=True, check=False)
    message = done.stdout + done.stderr
    assert done.returncode == 0, message
    assert "s3cret;{}" in message


def test_exabgp_receives_each_peers_routes_by_family() -> None:
    configured = routing(speaker="exabgp", peers=[PEER4, PEER6], communities=["65001:100", "65001:1:2"])
    prefixes = [ip_network("203.0.113.1/32"), ip_network("2001:db8:f::/64")]

    routes = exabgp_routes(configured, prefixes, graceful_shutdown=prefixes[:1])

    large = "large-community [65001:1:2]"
    assert list(routes.values()) == [
        ("neighbor 10.0.0.254", f"route 203.0.113.1/32 next-hop self community [65001:100 65535:0] {large}"),
        ("neighbor 2001:db8::fe", f"route 2001:db8:f::/64 next-hop self community [65001:100] {large}"),
    ]
