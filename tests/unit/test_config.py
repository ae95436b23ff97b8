# SPDX-License-Identifier: MIT
"""What good files mean, and what is said about bad ones."""

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glb.config.health import HealthCheckPolicy, HealthChecks
from glb.config.json_files import load_director, load_proxy, load_tables
from glb.config.model import (
    AgentConfig,
    Backend,
    Bind,
    DirectorConfig,
    Echo,
    Egress,
    HashFields,
    Listen,
    Metrics,
    Proto,
    ProxyConfig,
    State,
    require_ipv4_backends,
)
from glb.config.parse import parse_director, parse_proxy, parse_tables
from glb.errors import ConfigError
from tests.unit import sources
from tests.unit.sources import MISSING, put


def problems_in_tables(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_tables(text, "ft.json")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def problems_in_director(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_director(text, "director.json")
    return list(caught.value.problems)


def problems_in_proxy(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_proxy(text, "proxy.conf")
    return list(caught.value.problems)


def test_a_source_becomes_tables() -> None:
    tables = parse_tables(json.dumps(sources.tables()), "ft.json")

    web, dns = tables.tables
    assert (web.name, web.depth, dns.name, dns.depth) == ("web", 3, "dns", 2)
    assert web.hash_key == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert dns.seed == bytes.fromhex("fedcba9876543210fedcba9876543210")
    assert web.binds == (
        Bind(ip_network("198.51.100.1/32"), Proto.TCP, 80, 80),
        Bind(ip_network("2001:db8::/64"), Proto.TCP, 8000, 8080),
    )
    policy = HealthCheckPolicy(500, 250, rise=2, fall=2)
    checks = HealthChecks(http=80, gue=19523)
    assert web.backends[2] == Backend(ip_address("10.0.0.3"), State.DRAINING, True, checks, policy=policy)
    assert dns.backends == (
        Backend(ip_address("10.0.0.2"), State.FILLING, policy=policy),
        Backend(ip_address("10.0.0.4"), State.INACTIVE, healthy=False, policy=policy),
    )


def test_director_config_ignores_keys_of_the_dpdk_version() -> None:
    config = parse_director(json.dumps(sources.director()), "director.json")

    assert config.outbound_gateway_mac == "02:00:5e:10:00:01"
    assert config.gateway_mac == bytes.fromhex("02005e100001")
    assert config.outbound_src_ip == ip_address("10.0.0.100")
    assert config.icmp_echo is Echo.FORWARD
    assert config.hash_fields == HashFields(src_addr=True, src_port=True)
    assert config.alt_hash_fields == HashFields(src_addr=False, dst_addr=True)
    assert config.statsd_port == 8125


def test_a_directors_configuration_needs_only_the_source() -> None:
    config = parse_director('{"outbound_src_ip": "10.0.0.100"}', "director.json")

    assert config == DirectorConfig(outbound_src_ip=IPv4Address("10.0.0.100"))
    assert (config.outbound_gateway_mac, config.gateway_mac) == (None, None)
    assert config.hash_fields == HashFields(src_addr=True)
    assert (config.icmp_echo, config.egress, config.copy_dscp) == (Echo.PASS, Egress.SAME, False)
    assert (config.alt_hash_fields, config.mtu, config.statsd_port) == (None, None, None)


def test_a_directors_own_keys_are_read() -> None:
    own = {"icmp_echo": "forward", "copy_dscp": True, "egress": "fib", "mtu": 9000, "metrics": {"listen": "[::1]:9480"}}

    config = parse_director(json.dumps(sources.director() | own), "director.json")

    assert (config.icmp_echo, config.copy_dscp, config.egress, config.mtu) == (Echo.FORWARD, True, Egress.FIB, 9000)
    assert config.metrics == Metrics(Listen(IPv6Address("::1"), 9480))


@pytest.mark.parametrize(
    ("forward", "echo", "meant"),
    [
        (None, None, Echo.PASS),
        (False, None, Echo.PASS),
        (True, None, Echo.FORWARD),
        (None, "answer", Echo.ANSWER),
        (True, "forward", Echo.FORWARD),
        (False, "pass", Echo.PASS),
        (False, "answer", Echo.ANSWER),
    ],
)
def test_githubs_echo_key_applies_without_icmp_echo(forward: bool | None, echo: str | None, meant: Echo) -> None:
    keys = {"forward_icmp_ping_responses": forward, "icmp_echo": echo}

    assert parse_director(json.dumps(sources.director() | keys), "director.json").icmp_echo is meant


@pytest.mark.parametrize(
    ("forward", "echo", "said"), [(True, "pass", "true"), (True, "answer", "true"), (False, "forward", "false")]
)
def test_contradicting_echo_keys_are_both_named(forward: bool, echo: str, said: str) -> None:
    keys = {"forward_icmp_ping_responses": forward, "icmp_echo": echo}

    assert problems_in_director(json.dumps(sources.director() | keys)) == [
        f'director.json: "icmp_echo" is "{echo}", but "forward_icmp_ping_responses" is {said}; remove one'
    ]


@pytest.mark.parametrize("weight", [0.001, 1, 1.5, 1000])
def test_a_backend_may_have_a_weight_and_a_zone(weight: float) -> None:
    source = put(sources.tables(), "tables.0.backends.0.weight", weight)
    source = put(source, "tables.0.backends.0.zone", "rack 7")

    first, second, _ = parse_tables(json.dumps(source), "ft.json").tables[0].backends

    assert (first.weight, first.zone) == (weight, "rack 7")
    assert (second.weight, second.zone) == (1.0, None)


SOURCES = {"sources": ["10.0.0.0/24"]}


def test_a_proxys_configuration_is_read() -> None:
    text = """{"sources": ["10.0.0.0/24", "10.0.1.7"], "namespaces": ["web", "/proc/1/ns/net"],
               "metrics": {"listen": "127.0.0.1:9480", "sources": ["10.0.9.0/24", "2001:db8::1"]}}"""

    assert parse_proxy(text, "proxy.conf") == ProxyConfig(
        (IPv4Network("10.0.0.0/24"), IPv4Network("10.0.1.7/32")),
        ("web", "/proc/1/ns/net"),
        Metrics(Listen(IPv4Address("127.0.0.1"), 9480), (IPv4Network("10.0.9.0/24"), IPv6Network("2001:db8::1/128"))),
    )


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ({}, AgentConfig(19523, ())),
        ({"port": 4711, "listen": ["10.0.0.11"]}, AgentConfig(4711, (IPv4Address("10.0.0.11"),))),
        (False, None),
    ],
)
def test_a_proxys_agent_is_configured_or_switched_off(agent: object, expected: AgentConfig | None) -> None:
    assert parse_proxy(json.dumps(SOURCES | {"agent": agent}), "proxy.conf").agent == expected


def test_a_proxy_needs_sources_and_nothing_else() -> None:
    assert parse_proxy(json.dumps(SOURCES), "proxy.conf") == ProxyConfig((IPv4Network("10.0.0.0/24"),))


def test_sources_with_every_address_restrict_nothing() -> None:
    text = '{"sources": ["10.0.0.0/24", "0.0.0.0/0"]}'

    assert parse_proxy(text, "proxy.conf").known_sources == ()
    assert parse_proxy(json.dumps(SOURCES), "proxy.conf").known_sources == (IPv4Network("10.0.0.0/24"),)


@pytest.mark.parametrize(("source", "what"), [({}, "missing"), ({"sources": []}, "empty")], ids=["missing", "empty"])
def test_without_sources_the_message_says_how_to_allow_any(source: dict[str, Any], what: str) -> None:
    assert problems_in_proxy(json.dumps(source)) == [
        f"proxy.conf: sources: {what}; list the addresses or networks of the directors and of all proxies, such as "
        '"sources": ["10.0.0.0/24"]; to accept tunnelled packets from any address, write "sources": ["0.0.0.0/0"]'
    ]


@pytest.mark.parametrize(
    ("network", "proto", "ports", "text", "exact"),
    [
        ("198.51.100.1/32", Proto.TCP, (80, 80), "198.51.100.1:80/tcp", True),
        ("2001:db8::1/128", Proto.TCP, (80, 80), "[2001:db8::1]:80/tcp", True),
        ("10.0.0.0/8", Proto.UDP, (1000, 2000), "10.0.0.0/8:1000-2000/udp", False),
        ("2001:db8::/32", Proto.UDP, (53, 53), "[2001:db8::/32]:53/udp", False),
        ("198.51.100.1/32", Proto.TCP, (80, 81), "198.51.100.1:80-81/tcp", False),
    ],
)
def test_a_bind_prints_as_people_write_it(
    network: str, proto: Proto, ports: tuple[int, int], text: str, exact: bool
) -> None:
    bind = Bind(ip_network(network), proto, *ports)

    assert str(bind) == text
    assert bind.is_exact is exact
    assert bind.family == ip_network(network).version


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("healthy", [True, False])
def test_healthy_active_or_filling_backend_is_available(state: State, healthy: bool) -> None:
    backend = Backend(ip_address("10.0.0.1"), state, healthy)

    assert backend.available is (healthy and state in (State.ACTIVE, State.FILLING))


@pytest.mark.parametrize(
    "bind",
    [
        {"ip": "198.51.100.0/28", "proto": "tcp", "port": 80},
        {"ip": "198.51.100.1", "proto": "udp", "port": 80},
        {"ip": "198.51.100.1", "proto": "tcp", "port_start": 79, "port_end": 81},
        {"ip": "0.0.0.0/0", "proto": "tcp", "port_start": 1, "port_end": 65535},
    ],
)
def test_binds_may_overlap_if_they_are_not_the_same(bind: dict[str, Any]) -> None:
    source = put(sources.tables(), "tables.1.binds.1", bind)

    assert len(parse_tables(json.dumps(source), "ft.json").tables[1].binds) == 2


MALFORMED_TABLES = [
    # a name for the case, where, the value there, the lines that it causes
    ("a state misspelt", "tables.0.backends.2.state", "actve",
     'tables[0].backends[2].state: "actve" is not one of active, draining, filling, inactive'),
    ("a state that is a number", "tables.0.backends.2.state", 1,
     "tables[0].backends[2].state: 1 is not one of active, draining, filling, inactive"),
    ("a state left out", "tables.0.backends.2.state", MISSING, "tables[0].backends[2].state: missing"),
    ("a health in quotes", "tables.0.backends.1.healthy", "true",
     'tables[0].backends[1].healthy: "true" is not true or false'),
    ("a health that is 1", "tables.0.backends.1.healthy", 1,
     "tables[0].backends[1].healthy: 1 is not true or false"),
    ("an address that is a number", "tables.0.backends.0.ip", 167772161,
     "tables[0].backends[0].ip: 167772161 is not an IPv4 or IPv6 address"),
    ("a backend that is a network", "tables.0.backends.0.ip", "10.0.0.0/24",
     'tables[0].backends[0].ip: "10.0.0.0/24" is not an IPv4 or IPv6 address'),
    ("a backend that is many hosts", "tables.0.backends.0.ip", "224.0.0.1",
     'tables[0].backends[0].ip: "224.0.0.1" is not the address of one host'),
    ("an address with a zone", "tables.0.backends.0.ip", "fe80::1%eth0",
     'tables[0].backends[0].ip: "fe80::1%eth0" is not an IPv4 or IPv6 address'),
    ("a backend twice", "tables.0.backends.2.ip", "10.0.0.1",
     "tables[0].backends[2].ip: 10.0.0.1 is already tables[0].backends[0]"),
    ("a check of no port", "tables.0.backends.0.healthchecks.http", 0,
     "tables[0].backends[0].healthchecks.http: 0 is not a whole number from 1 to 65535"),
    ("a check of a relative path", "tables.0.backends.0.healthchecks.http_uri", "up",
     "tables[0].backends[0].healthchecks.http_uri: "
     '"up" is not a path of printable ASCII that begins with "/"'),
    ("an unknown check", "tables.0.backends.0.healthchecks.htp", 80,
     'tables[0].backends[0].healthchecks.htp: unknown key; did you mean "http"?'),
    ("checks that are a list", "tables.0.backends.0.healthchecks", [],
     "tables[0].backends[0].healthchecks: [] is not an object"),
    ("a backend that is a text", "tables.0.backends.0", "10.0.0.1",
     'tables[0].backends[0]: "10.0.0.1" is not an object'),
    ("backends that are an object", "tables.0.backends", {}, "tables[0].backends: {} is not a list"),
    ("no backends", "tables.0.backends", [],
     "tables[0].backends: no backend; packets cannot be forwarded"),
    ("only inactive backends", "tables.0.backends", [{"ip": "10.0.0.1", "state": "inactive"}],
     "tables[0].backends: every backend is inactive; packets cannot be forwarded"),
    ("no binds", "tables.0.binds", [], "tables[0].binds: no bind; no packet belongs to this table"),
    ("a netmask", "tables.1.binds.0.ip", "198.51.100.0/255.255.255.0",
     'tables[1].binds[0].ip: "198.51.100.0/255.255.255.0" is not an address or CIDR'),
    ("a prefix too long", "tables.1.binds.0.ip", "198.51.100.0/33",
     'tables[1].binds[0].ip: "198.51.100.0/33" is not an address or CIDR'),
    ("a protocol in capitals", "tables.1.binds.0.proto", "UDP",
     'tables[1].binds[0].proto: "UDP" is not one of tcp, udp'),
    ("a port beyond 16 bits", "tables.1.binds.0.port", 65536,
     "tables[1].binds[0].port: 65536 is not a whole number from 0 to 65535"),
    ("a port with a point", "tables.1.binds.0.port", 53.0,
     "tables[1].binds[0].port: 53.0 is not a whole number from 0 to 65535"),
    ("a port that is true", "tables.1.binds.0.port", True,
     "tables[1].binds[0].port: true is not a whole number from 0 to 65535"),
    ("no port", "tables.1.binds.0.port", MISSING,
     'tables[1].binds[0]: "port" is missing, or "port_start" and "port_end" for a range'),
    ("a port and a range", "tables.0.binds.1.port", 80,
     'tables[0].binds[1]: either "port", or "port_start" and "port_end", not both'),
    ("half a range", "tables.0.binds.1.port_end", MISSING,
     'tables[0].binds[1]: "port" is missing, or "port_start" and "port_end" for a range'),
    ("a range backwards", "tables.0.binds.1.port_start", 9000,
     'tables[0].binds[1]: "port_start" 9000 is above "port_end" 8080'),
    ("a weight of nothing", "tables.0.backends.0.weight", 0,
     "tables[0].backends[0].weight: 0 is not a number above 0, at most 1000"),
    ("a weight too large", "tables.0.backends.0.weight", 1000.5,
     "tables[0].backends[0].weight: 1000.5 is not a number above 0, at most 1000"),
    ("a weight below nothing", "tables.0.backends.0.weight", -1,
     "tables[0].backends[0].weight: -1 is not a number above 0, at most 1000"),
    ("a weight in quotes", "tables.0.backends.0.weight", "2",
     'tables[0].backends[0].weight: "2" is not a number above 0, at most 1000'),
    ("a weight that is true", "tables.0.backends.0.weight", True,
     "tables[0].backends[0].weight: true is not a number above 0, at most 1000"),
    ("an empty zone", "tables.0.backends.0.zone", "",
     'tables[0].backends[0].zone: "" is not a name of printable characters'),
    ("a zone that is a number", "tables.0.backends.0.zone", 7,
     "tables[0].backends[0].zone: 7 is not a name of printable characters"),
    ("a name twice", "tables.1.name", "web", 'tables[1].name: "web" is already tables[0].name'),
    ("a blank name", "tables.1.name", " ", 'tables[1].name: " " is not a name of printable characters'),
    ("a name with an escape", "tables.1.name", "\x1b[31m",
     'tables[1].name: "\\u001b[31m" is not a name of printable characters'),
    ("a short key", "tables.0.hash_key", "0011", 'tables[0].hash_key: "0011" is not 32 hex digits'),
    ("a seed that is no hex", "tables.0.seed", "g" * 32,
     f'tables[0].seed: "{"g" * 32}" is not 32 hex digits'),
    ("a depth of one", "tables.0.depth", 1, "tables[0].depth: 1 is not a whole number from 2 to 8"),
    ("an unknown key of a table", "tables.0.bakends", [],
     'tables[0].bakends: unknown key; did you mean "backends"?'),
    ("a required value that is null", "tables.0.seed", None, "tables[0].seed: null is not 32 hex digits"),
    ("a policy of no time", "healthchecks.interval_ms", 0,
     "healthchecks.interval_ms: 0 is not a whole number from 1 to 3600000"),
    ("too wide a jitter", "healthchecks.jitter", 0.6, "healthchecks.jitter: 0.6 is not a number from 0 to 0.5"),
    ("a share above one", "tables.0.healthchecks", {"hold_share": 75},
     "tables[0].healthchecks.hold_share: 75 is not a number from 0 to 1"),
    *((f"a packet of size {size}", "tables.0.backends.0.healthchecks.gue_size", size,
       f"tables[0].backends[0].healthchecks.gue_size: {shown} is not a whole number of bytes from 576 to 65535, or "
       '"full"') for size, shown in ((575, "575"), (65536, "65536"), (True, "true"), ("all", '"all"'))),
    ("a size without the gue check", "tables.0.backends.0.healthchecks", {"http": 80, "gue_size": 1500},
     "tables[0].backends[0].healthchecks.gue_size: sets the size of a `gue` check, but there is none; add `gue`, the "
     "port of the tunnel"),
    ("a status that is none", "tables.0.backends.0.healthchecks.http_status", ["200-299", 600],
     'tables[0].backends[0].healthchecks.http_status: 600 is not a status code from 100 to 599, or a range such as '
     '"200-299"'),
    ("statuses in the wrong order", "tables.0.backends.0.healthchecks.http_status", ["299-200"],
     'tables[0].backends[0].healthchecks.http_status: "299-200" is not a status code from 100 to 599, or a range such '
     'as "200-299"'),
    ("a host that is none", "tables.0.backends.0.healthchecks.http_host", "a b",
     'tables[0].backends[0].healthchecks.http_host: "a b" is not a host\'s name or address'),
    ("a check of a VIP that is not there", "tables.0.backends.0.healthchecks.vip_http", 8000,
     "tables[0].backends[0].healthchecks.vip_http: 8000, but no bind of this table is a single address with only this "
     "TCP port"),
    ("no tables", "tables", [], "tables: no table; add at least one"),
    ("no key for tables", "tables", MISSING, "tables: missing"),
    ("an unknown key at the top", "table", [], 'table: unknown key; did you mean "tables"?'),
    ("a long value is cut", "tables.0.name", ["x" * 100],
     f'tables[0].name: ["{"x" * 55}... is not a name of printable characters'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [case[1:] for case in MALFORMED_TABLES],
    ids=[case[0].replace(" ", "-") for case in MALFORMED_TABLES],
)
def test_malformed_table_file_gives_one_line(path: str, value: object, line: str) -> None:
    source = put(sources.tables(), path, value)

    assert problems_in_tables(json.dumps(source)) == [f"ft.json: {line}"]


MALFORMED_DIRECTORS = [
    ("no source", "outbound_src_ip", MISSING, "outbound_src_ip: missing"),
    ("a short address", "outbound_gateway_mac", "02:00:5e:10:00",
     'outbound_gateway_mac: "02:00:5e:10:00" is not a MAC address such as 02:00:5e:10:00:01'),
    ("a broadcast address", "outbound_gateway_mac", "ff:ff:ff:ff:ff:ff",
     'outbound_gateway_mac: "ff:ff:ff:ff:ff:ff" is not the MAC address of one host'),
    ("an IPv6 source", "outbound_src_ip", "2001:db8::1",
     'outbound_src_ip: "2001:db8::1" is not an IPv4 address; the datapath tunnels over IPv4 only'),
    ("a flag in quotes", "forward_icmp_ping_responses", "yes",
     'forward_icmp_ping_responses: "yes" is not true or false'),
    ("another rule for echoes", "icmp_echo", "drop", 'icmp_echo: "drop" is not one of answer, forward, pass'),
    ("a DSCP in quotes", "copy_dscp", "true", 'copy_dscp: "true" is not true or false'),
    ("an egress by name", "egress", "eth1", 'egress: "eth1" is not one of fib, same'),
    ("an MTU too small for IPv6", "mtu", 1279, "mtu: 1279 is not a whole number from 1280 to 65535"),
    ("an MTU beyond 16 bits", "mtu", 65536, "mtu: 65536 is not a whole number from 1280 to 65535"),
    ("no field", "hash_fields", {"src_addr": False},
     "hash_fields: at least one of src_addr, dst_addr, src_port, dst_port must be true"),
    ("an unknown field", "alt_hash_fields.dest_port", True,
     'alt_hash_fields.dest_port: unknown key; did you mean "dst_port"?'),
    ("a port alone", "metrics", {"listen": "9480"},
     'metrics.listen: "9480" is not an address and a port such as 127.0.0.1:9480 or [::1]:9480'),
    ("a port beyond 16 bits", "metrics", {"listen": "127.0.0.1:65536"},
     'metrics.listen: "127.0.0.1:65536" is not an address and a port such as 127.0.0.1:9480 or [::1]:9480'),
    ("an address that is none", "metrics", {"listen": "127.0.0.256:9480"},
     'metrics.listen: "127.0.0.256:9480" is not an address and a port such as 127.0.0.1:9480 or [::1]:9480'),
    ("a slip of the pen", "outbound_source_ip", "10.0.0.1",
     'outbound_source_ip: unknown key; did you mean "outbound_src_ip"?'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [case[1:] for case in MALFORMED_DIRECTORS],
    ids=[case[0].replace(" ", "-") for case in MALFORMED_DIRECTORS],
)
def test_malformed_director_config_gives_one_line(path: str, value: object, line: str) -> None:
    source = put(sources.director(), path, value)

    assert problems_in_director(json.dumps(source)) == [f"director.json: {line}"]


MALFORMED_PROXIES = [
    ("an IPv6 source", {"sources": ["2001:db8::/32"]},
     'sources[0]: "2001:db8::/32" is not an IPv4 address or CIDR; the tunnel is IPv4 only'),
    ("host bits", {"sources": ["10.0.0.1/24"]},
     'sources[0]: "10.0.0.1/24" has host bits set; did you mean "10.0.0.0/24"?'),
    ("a source twice", {"sources": ["10.0.0.1", "10.0.0.2", "10.0.0.1/32"]},
     "sources[2]: 10.0.0.1/32 is already sources[0]"),
    ("sources that are a text", {"sources": "10.0.0.1"}, 'sources: "10.0.0.1" is not a list'),
    ("an empty namespace", {"namespaces": [""]},
     'namespaces[0]: "" is not a name under /run/netns or an absolute path'),
    ("a relative path", {"namespaces": ["run/netns/web"]},
     'namespaces[0]: "run/netns/web" is not a name under /run/netns or an absolute path'),
    ("the folder itself", {"namespaces": [".."]},
     'namespaces[0]: ".." is not a name under /run/netns or an absolute path'),
    ("a namespace twice", {"namespaces": ["web", "web"]}, "namespaces[1]: web is already namespaces[0]"),
    ("nine namespaces", {"namespaces": [f"web{i}" for i in range(9)]},
     "namespaces: 9 namespaces; at most 8 are searched for sockets"),
    ("an agent that is switched on", {"agent": True}, "agent: true is not an object, or false"),
    ("an agent that is nothing", {"agent": None}, "agent: null is not an object, or false"),
    ("an agent's port", {"agent": {"port": 0}}, "agent.port: 0 is not a whole number from 1 to 65535"),
    ("an agent everywhere", {"agent": {"listen": ["0.0.0.0"]}},
     'agent.listen[0]: "0.0.0.0" is not the address of one host'),
    ("an agent's slip of the pen", {"agent": {"prot": 1}}, 'agent.prot: unknown key; did you mean "port"?'),
    ("an unknown key", {"source": []}, 'source: unknown key; did you mean "sources"?'),
    ("a key unlike any", {"mtu": 1500},
     "mtu: unknown key; known are sources, vips, namespaces, metrics, agent, $schema"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "line"),
    [case[1:] for case in MALFORMED_PROXIES],
    ids=[case[0].replace(" ", "-") for case in MALFORMED_PROXIES],
)
def test_malformed_proxy_config_gives_one_line(source: dict[str, Any], line: str) -> None:
    assert problems_in_proxy(json.dumps(SOURCES | source)) == [f"proxy.conf: {line}"]


def test_a_misspelt_key_explains_the_missing_one() -> None:
    source = put(put(sources.director(), "outbound_src_ip", MISSING), "outbound_src_pi", "10.0.0.1")

    assert problems_in_director(json.dumps(source)) == [
        "director.json: outbound_src_ip: missing",
        'director.json: outbound_src_pi: unknown key; did you mean "outbound_src_ip"?',
    ]


def test_file_of_another_kind_is_named_by_its_kind() -> None:
    tables, director = json.dumps(sources.tables()), json.dumps(sources.director())

    belongs = "shows; another kind of file is needed here"
    assert problems_in_director(tables) == [
        f'director.json: this is a source of forwarding tables, which its key "tables" {belongs}'
    ]
    for problems, name in ((problems_in_tables, "ft.json"), (problems_in_proxy, "proxy.conf")):
        assert problems(director) == [
            f'{name}: this is a director\'s configuration, which its key "outbound_src_ip" {belongs}'
        ]


def test_all_problems_are_reported_at_once() -> None:
    source = put(sources.tables(), "tables.0.backends.0.state", "up")
    source = put(source, "tables.1.binds.0.port", -1)
    source = put(source, "healthchecks.rises", 3)

    assert problems_in_tables(json.dumps(source)) == [
        'ft.json: tables[0].backends[0].state: "up" is not one of active, draining, filling, inactive',
        "ft.json: tables[1].binds[0].port: -1 is not a whole number from 0 to 65535",
        'ft.json: healthchecks.rises: unknown key; did you mean "rise"?',
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ('{\n  "tables": [,]\n}', "line 2, column 14: a value is expected here: an object, a list, a text, a number, "
         "true, false or null"),
        ("[]", "[] is not an object"),
        ('{"tables": NaN}', "tables: NaN is not JSON"),
        ('{"tables": [{"seed": 1, "seed": 1}]}', "tables[0].seed: the key occurs more than once"),
        ("[" * 100_000, "nested too deeply; at most 64 levels are read"),
    ],
    ids=["empty", "blank", "syntax", "a-list", "not-a-number", "a-key-twice", "deep"],
)  # fmt: skip
def test_value_that_is_not_an_object_is_refused(text: str, line: str) -> None:
    assert problems_in_tables(text) == [f"ft.json: {line}"]


@pytest.mark.parametrize("load", [load_tables, load_director, load_proxy])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "No such file or directory"),
        (b'{"tables": "\xff"}', "line 1: byte 12 of the file is not UTF-8"),
        (b"GLBD\2\0\0\0", "a GLBD binary; give the JSON source that it was built from"),
    ],
    ids=["no-file", "not-utf-8", "a-binary"],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    load: Any,
    content: bytes | None,
    line: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert str(caught.value) == f"{path}: {line}"


def test_a_directory_in_the_files_place_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_tables(tmp_path)


def test_a_director_refuses_backends_that_it_cannot_tunnel_to() -> None:
    source = put(sources.tables(), "tables.0.backends.1.ip", "2001:db8::2")
    tables = parse_tables(json.dumps(source), "ft.json")

    with pytest.raises(ConfigError) as caught:
        tables.require_ipv4_backends("ft.json")

    assert caught.value.problems == (
        "ft.json: tables[0].backends[1].ip: 2001:db8::2 is not IPv4; the datapath tunnels over IPv4",
    )
    require_ipv4_backends(tables.tables[1:], "ft.json")


def test_a_hash_of_no_field_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="at least one field"):
        HashFields(src_addr=False)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tables", "binds", "ip"]), inner),
    max_leaves=5,
)
PATHS = """
tables tables.0 tables.0.seed tables.0.binds tables.0.binds.0 tables.0.binds.0.ip tables.0.backends.0
tables.0.backends.0.ip tables.0.backends.0.healthchecks healthchecks
""".split()  # noqa: SIM905 - a list of short words


@given(path=st.sampled_from(PATHS), value=JSON_VALUES)
def test_any_content_is_read_or_refused_with_the_file(path: str, value: object) -> None:
    text = json.dumps(put(sources.tables(), path, value))

    try:
        parse_tables(text, "ft.json")
    except ConfigError as error:
        assert all(problem.startswith("ft.json: ") for problem in error.problems)  # noqa: PT017
