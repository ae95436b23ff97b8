# SPDX-License-Identifier: MIT
"""Values that are well-formed, judged against each other, against the host, and by what a packet can carry."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from glb.config.field import field_text
from glb.config.host import Host, HostLink
from glb.config.judge_director import judge_director
from glb.config.judge_tables import judge_tables
from glb.config.note import Note, Severity
from glb.config.parse import parse_director, parse_proxy, parse_tables
from glb.ctl.main import app
from glb.director.sources import Sources, check_tables, read
from glb.errors import ConfigError
from glb.network.local import host_addresses
from glb.table import glbd
from tests.unit import sources
from tests.unit.sources import MISSING, put

ERROR, WARNING = Severity.ERROR, Severity.WARNING
HOST = Host(
    addresses={ip_address(a): i for a, i in (("10.0.0.100", "eth0"), ("10.9.9.9", "eth1"), ("198.51.100.77", "lo"))},
    own={ip_address(a): i for a, i in (("10.0.0.100", "eth0"), ("10.9.9.9", "eth1"))},
    broadcasts={IPv4Address("10.9.9.255"): "eth1"},
    links={"eth0": HostLink(bytes.fromhex("020000000001"), 1500)},
)
BIND = "tables.0.binds.0"
BACKEND = "tables.0.backends.0"


def found(notes: Iterable[Note]) -> list[tuple[Severity, str]]:
    return [(note.severity, field_text(note.place)) for note in notes]


def about_tables(source: dict[str, Any], config: dict[str, Any] | None = None, host: Host | None = HOST) -> list[Note]:
    director = parse_director(json.dumps(config if config is not None else sources.director()), "director.conf")
    return list(judge_tables(parse_tables(json.dumps(source), "ft.json").tables, director, host))


def about_director(
    config: dict[str, Any], host: Host | None = HOST, source: dict[str, Any] | None = None
) -> list[Note]:
    tables = parse_tables(json.dumps(source if source is not None else sources.tables()), "ft.json").tables
    return list(judge_director(parse_director(json.dumps(config), "director.conf"), tables, host))


def test_files_that_are_right_have_neither_errors_nor_warnings() -> None:
    assert about_tables(sources.tables()) == []
    assert about_director(sources.director()) == []


BAD_BINDS = [
    ("0.0.0.0/0", "contains every address"),
    ("::/0", "contains every address"),
    ("10.0.0.100", "`outbound_src_ip`"),
    ("10.0.0.0/24", "`outbound_src_ip`"),
    ("10.9.9.9", "this host's address on eth1"),
    ("10.9.9.255", "broadcast address of the network on eth1"),
    ("0.1.2.3", '"this network"'),
    ("127.0.0.1", "loopback"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.1.1", "link-local"),
    ("224.0.0.1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "the broadcast address"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::ffff:203.0.113.10", "IPv4-mapped"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::203.0.113.10", "IPv4-compatible"),
    ("100::1", "discard-only"),
    ("fe80::1", "link-local"),
    ("ff02::1", "multicast"),
    ("10.0.0.1", "a backend's own address"),
]


@pytest.mark.parametrize(("network", "reason"), BAD_BINDS, ids=[network for network, _ in BAD_BINDS])
def test_unservable_bind_is_an_error(network: str, reason: str) -> None:
    notes = about_tables(put(sources.tables(), BIND, {"ip": network, "proto": "tcp", "port": 80}))

    [error] = [note for note in notes if note.severity is ERROR]
    assert field_text(error.place) == "tables[0].binds[0].ip"
    assert str(ip_address(network)) in error.what if "/" not in network else network in error.what
    assert reason in error.what


@pytest.mark.parametrize(
    "network",
    ["203.0.113.10", "203.0.113.0/24", "198.51.100.77", "2001:db8::7", "2000::/3", "128.0.0.0/1", "::/1", "64:ff9b::1"],
)
def test_bind_to_a_vip_on_lo_is_accepted(network: str) -> None:
    assert about_tables(put(sources.tables(), BIND, {"ip": network, "proto": "tcp", "port": 80})) == []


BAD_BACKENDS = [
    ("0.1.2.3", '"this network"'),
    ("127.0.0.1", "loopback"),
    ("240.0.0.1", "reserved"),
    ("10.0.0.100", "`outbound_src_ip`"),
    ("10.9.9.9", "this host's address on eth1"),
    ("198.51.100.77", "an address of this host, on lo"),
    ("10.9.9.255", "broadcast address of the network on eth1"),
]


@pytest.mark.parametrize(("address", "reason"), BAD_BACKENDS, ids=[address for address, _ in BAD_BACKENDS])
def test_a_backend_that_no_tunnel_reaches_is_an_error(address: str, reason: str) -> None:
    [error] = about_tables(put(sources.tables(), f"{BACKEND}.ip", address))

    assert (error.severity, field_text(error.place)) == (ERROR, "tables[0].backends[0].ip")
    assert error.what.startswith(address)
    assert reason in error.what


DOUBTFUL_TABLES = [
    ("a link-local backend", f"{BACKEND}.ip", "169.254.1.1", "tables[0].backends[0].ip"),
    ("the key of an example", "tables.0.hash_key", "000102030405060708090a0b0c0d0e0f", "tables[0].hash_key"),
    ("the seed of an example", "tables.0.seed", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "tables[0].seed"),
    ("a key of zeros", "tables.1.hash_key", "0" * 32, "tables[1].hash_key"),
    ("a timeout above the interval", "tables.0.healthchecks", {"timeout_ms": 15000},
     "tables[0].backends[0].healthchecks.timeout_ms"),
    ("a tunnel on another port", f"{BACKEND}.healthchecks.gue", 19524, "tables[0].backends[0].healthchecks.gue"),
    ("no check but fou", f"{BACKEND}.healthchecks", {"fou": 19523}, "tables[0].backends[0].healthchecks.fou"),
    ("a network with backends", f"{BIND}.ip", "10.0.0.0/28", "tables[0].binds[0].ip"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "place"), [c[1:] for c in DOUBTFUL_TABLES], ids=[c[0].replace(" ", "-") for c in DOUBTFUL_TABLES]
)
def test_doubtful_table_values_are_warnings(path: str, value: object, place: str) -> None:
    assert found(about_tables(put(sources.tables(), path, value))) == [(WARNING, place)]


@pytest.mark.parametrize(
    ("ranges", "shadowed"),
    [
        ([(1000, 1001), (1000, 1000), (1001, 1001)], [0]),
        ([(1, 65535), (1, 1023), (1024, 65535)], [0]),
        ([(10, 20), (15, 25), (10, 25)], [2]),
        ([(10, 20), (12, 18)], []),
        ([(10, 20), (20, 30)], []),
    ],
)
def test_a_bind_whose_ports_narrower_ranges_take_is_a_warning(ranges: list[Any], shadowed: list[int]) -> None:
    binds = [{"ip": "203.0.113.7", "proto": "udp", "port_start": first, "port_end": last} for first, last in ranges]

    notes = about_tables(put(sources.tables(), "tables.1.binds", binds))

    assert found(notes) == [(WARNING, f"tables[1].binds[{index}]") for index in shadowed]


@pytest.mark.parametrize(
    ("mtu", "changes", "least"),
    [
        (1280, {}, 1280 + 36 + 2 * 4),
        (1280 + 36 + 2 * 4, {}, None),
        (1331, {"alt_hash_fields": {"dst_addr": True}}, 1280 + 36 + 5 * 4),
    ],
    ids=["three-hops", "just-enough", "two-rows"],
)
def test_an_mtu_that_ipv6_does_not_fit_through_is_an_error(
    mtu: int, changes: dict[str, Any], least: int | None
) -> None:
    config = {"outbound_src_ip": "10.0.0.100", "mtu": mtu, **changes}

    notes = about_director(config)

    assert found(notes) == ([(ERROR, "mtu")] if least else [])
    assert least is None or f"the minimum is {least}" in notes[0].what
    without_ipv6 = put(sources.tables(), "tables.0.binds.1", MISSING)
    assert about_director(config, source=without_ipv6) == []


def test_the_interfaces_mtu_counts_where_none_is_configured() -> None:
    narrow = Host(HOST.addresses, HOST.own, HOST.broadcasts, {"eth0": HostLink(bytes(6), 1300)})

    assert found(about_director({"outbound_src_ip": "10.0.0.100"}, narrow)) == [(WARNING, "mtu")]
    assert found(about_director({"outbound_src_ip": "10.0.0.100", "mtu": 9000})) == [(WARNING, "mtu")]


def routing(**changes: Any) -> dict[str, Any]:
    peer = {"address": "10.0.0.254", "as": 65000, "next_hop_ipv6": "2001:db8::100"}
    return {"routing": {"speaker": "bird", "local_as": 65001, "peers": [peer | changes.pop("peer", {})], **changes}}


WRONG_DIRECTORS = [
    ("a source of this host alone", {"outbound_src_ip": "127.0.0.1"}, ERROR, "outbound_src_ip"),
    ("a reserved source", {"outbound_src_ip": "240.0.0.1"}, ERROR, "outbound_src_ip"),
    ("another host's source", {"outbound_src_ip": "10.0.0.99"}, WARNING, "outbound_src_ip"),
    ("its own MAC as the gateway's", {"outbound_gateway_mac": "02:00:00:00:00:01"}, ERROR, "outbound_gateway_mac"),
    ("the same fields twice", {"alt_hash_fields": {"src_addr": True, "src_port": True}}, WARNING, "alt_hash_fields"),
    ("another host's metrics", {"metrics": {"listen": "10.0.0.99:9480"}}, WARNING, "metrics.listen"),
    ("a peer that is itself", routing(peer={"address": "10.0.0.100"}), ERROR, "routing.peers[0].address"),
    ("a prefix without a bind", routing(prefixes=["198.51.100.0/24", "2001:db8::/32", "192.0.2.0/24"]), WARNING,
     "routing.prefixes[2]"),
    ("binds without a prefix", routing(prefixes=["198.51.100.0/24"]), WARNING, "routing.prefixes"),
    ("a family without a peer", routing(peer={"next_hop_ipv6": None}), WARNING, "routing.peers"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "severity", "place"),
    [case[1:] for case in WRONG_DIRECTORS],
    ids=[case[0].replace(" ", "-") for case in WRONG_DIRECTORS],
)
def test_a_configuration_is_judged_by_what_it_does(changes: dict[str, Any], severity: Severity, place: str) -> None:
    notes = found(about_director(sources.director() | changes))

    assert (severity, place) in notes
    assert {where for level, where in notes if level is ERROR} <= {place}


def test_routing_that_announces_every_vip_is_right() -> None:
    config = sources.director() | routing(prefixes=["198.51.100.0/24", "2001:db8::/32"])

    assert about_director(config) == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ({"sources": ["10.0.0.0/24", "224.0.0.0/8"]},
         "sources[1]: 224.0.0.0/8 is a multicast address: no packet has this source"),
        ({"sources": ["127.0.0.1"]}, "sources[0]: 127.0.0.1/32 is a loopback address: no packet has this source"),
        ({"metrics": {"listen": "0.0.0.0:19523"}},
         "metrics.listen: 0.0.0.0:19523 is the address of the agent, whose port is 19523; change one of them"),
        ({"metrics": {"listen": "10.0.0.11:80"}, "agent": {"port": 80, "listen": ["10.0.0.11"]}},
         "metrics.listen: 10.0.0.11:80 is the address of the agent, whose port is 80; change one of them"),
        ({"agent": {"listen": ["10.0.0.11", "10.0.0.11"]}},
         "agent.listen[1]: 10.0.0.11 is already agent.listen[0]"),
        ({"metrics": {"listen": "224.0.0.1:9480"}},
         'metrics.listen: "224.0.0.1:9480" is not an address and a port such as 127.0.0.1:9480 or [::1]:9480'),
    ],
)  # fmt: skip
def test_a_proxys_values_are_judged_against_each_other(source: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_proxy(json.dumps({"sources": ["10.0.0.0/24"]} | source), "proxy.conf")

    assert caught.value.problems == (f"proxy.conf: {line}",)


def test_a_binary_is_judged_as_its_source_is() -> None:
    source = put(sources.tables(), f"{BIND}.ip", "224.0.0.1")
    binary = glbd.encode(parse_tables(json.dumps(source), "ft.json"))

    said = []
    for data in (json.dumps(source).encode(), binary):
        with pytest.raises(ConfigError) as caught:
            check_tables(data, "ft")
        said.append(str(caught.value))

    assert said[0] == said[1]


def test_load_is_refused_with_all_errors_of_both_files(tmp_path: Path) -> None:
    config, table = tmp_path / "director.conf", tmp_path / "ft.json"
    config.write_text(json.dumps({"outbound_src_ip": "127.0.0.1", "mtu": 1280}))
    table.write_text(json.dumps(put(sources.tables(), f"{BACKEND}.ip", "240.0.0.1")))

    with pytest.raises(ConfigError) as caught:
        read(Sources(config, table))

    places = [problem.split(": ")[:2] for problem in caught.value.problems]
    assert places == [
        [str(config), "outbound_src_ip"],
        [str(config), "mtu"],
        [str(table), "tables[0].backends[0].ip"],
    ]


def test_own_addresses_are_errors_at_start_and_in_check(tmp_path: Path) -> None:
    found = host_addresses()
    own = found.own
    if not own:
        assert all(address.ip.is_loopback or address.ip.is_link_local for address in found.all)
        return  # a host without a network has no such address
    address = own[0].ip
    config, table = tmp_path / "director.conf", tmp_path / "ft.json"
    here = next((each.ip for each in own if isinstance(each.ip, IPv4Address)), IPv4Address("10.0.0.100"))
    config.write_text(json.dumps({"outbound_src_ip": str(here)}))
    table.write_text(json.dumps(put(sources.tables(), BIND, {"ip": str(address), "proto": "tcp", "port": 22})))

    with pytest.raises(ConfigError, match=r"tables\[0\].binds\[0\].ip"):
        read(Sources(config, table, (own[0].name,)))
    checked = CliRunner().invoke(app, ["check", "--config", str(config), "--table", str(table), "-o", "json"])
    assert checked.exit_code == 2
    assert "tables[0].binds[0].ip" in json.loads(checked.stdout)[1]["errors"][0]
    alone = CliRunner().invoke(app, ["check", "--table", str(table), "-o", "json"])
    assert alone.exit_code == 0
    assert "tables[0].binds[0].ip" in json.loads(alone.stdout)[0]["warnings"][0]


def test_loopback_addresses_are_not_the_hosts_own() -> None:
    assert not [address for address in host_addresses().own if address.name == "lo"]


def test_check_separates_errors_and_warnings(tmp_path: Path) -> None:
    good, doubtful, bad = (tmp_path / name for name in ("good.conf", "doubtful.json", "bad.conf"))
    good.write_text('{"sources": ["10.0.0.0/24"]}')
    doubtful.write_text(json.dumps(put(sources.tables(), "tables.0.hash_key", "0" * 32)))
    bad.write_text('{"sources": ["127.0.0.1"]}')

    def check(*arguments: object) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["check", *map(str, arguments), "-o", "json"])
        facts = json.loads(result.stdout)
        return result.exit_code, [(f["good"], len(f["errors"]), len(f["warnings"])) for f in facts]

    assert check("--proxy", good) == (0, [(True, 0, 0)])
    assert check("--table", doubtful) == (0, [(True, 0, 1)])
    assert check("--table", doubtful, "--proxy", bad) == (2, [(True, 0, 1), (False, 1, 0)])
    text = CliRunner().invoke(app, ["check", "--table", str(doubtful), "--proxy", str(bad)])
    assert f"{doubtful}: valid, 1 warning" in text.stdout
    assert str(bad) not in text.stdout
    assert f"error: {bad}: sources[0]" in text.stderr
