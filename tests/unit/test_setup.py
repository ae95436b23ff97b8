# SPDX-License-Identifier: MIT
"""`glbctl init`: what it writes, and what it leaves alone."""

import json
import os
import pty
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute
from typer.testing import CliRunner, Result

from glb.config.parse import parse_director, parse_proxy, parse_tables
from glb.ctl.main import app
from glb.ctl.shapes import problem_with
from glb.setup import host, texts
from glb.setup.server import Manager, Needs, TunnelInterface, apply_now, choose_manager, left_to_do, server_files
from tests.own_network import own_network

VIPS = (ip_address("203.0.113.10"), ip_address("2001:db8::5"))
TABLE = (
    "--vip",
    "203.0.113.10:443",
    "--vip",
    "[2001:db8::1]:53/udp",
    "--backend",
    "10.0.0.11",
    "--backend",
    "10.0.0.12",
)


def needs(**changes: Any) -> Needs:
    return Needs(VIPS, TunnelInterface("eth0", "ethernet", 9000, rp_filter=0, **changes), mtu=1544)


def files(manager: Manager, wanted: Needs) -> dict[str, str]:
    return {str(file.path): file.text for file in server_files(manager, wanted)}


def test_networkd_gets_vips_on_lo_and_the_mtu_as_a_drop_in() -> None:
    found = files(Manager.NETWORKD, needs(network_file=Path("/run/systemd/network/10-netplan-eth0.network")))

    assert found["/etc/systemd/network/25-glb-vips.network"].splitlines()[1:] == [
        "[Match]", "Name=lo", "", "[Address]", "Address=203.0.113.10/32", "", "[Address]", "Address=2001:db8::5/128",
    ]  # fmt: skip
    assert "MTUBytes=1544\n" in found["/etc/systemd/network/10-netplan-eth0.network.d/glb-mtu.conf"]


def test_without_a_file_of_networkd_the_mtu_is_left_to_the_user() -> None:
    assert list(left_to_do(Manager.NETWORKD, needs())) == [
        "eth0 has no file of networkd: set its MTU to 1544 where it is configured"
    ]


def test_an_mtu_without_room_for_the_tunnel_is_noted() -> None:
    small = Needs(VIPS, TunnelInterface("eth0", "ethernet", 1500, rp_filter=0))

    assert [note.split(":")[0] for note in left_to_do(Manager.NETPLAN, small)] == ["eth0 has an MTU of 1500"]
    assert list(left_to_do(Manager.NETPLAN, needs())) == []


def test_ifupdown_gets_a_stanza_for_each_vip_and_the_mtu() -> None:
    assert files(Manager.IFUPDOWN, needs())["/etc/network/interfaces.d/glb"].splitlines()[1:] == [
        "iface lo inet static", "    address 203.0.113.10/32", "",
        "iface lo inet6 static", "    address 2001:db8::5/128", "",
        "iface eth0 inet manual", "    up ip link set dev eth0 mtu 1544",
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "section"), [("ethernet", ""), ("bond", "  bonds:\n"), ("vlan", "  vlans:\n")])
def test_netplan_gets_the_mtu_in_the_section_of_the_interface(kind: str, section: str) -> None:
    wanted = Needs(VIPS, TunnelInterface("up0", kind, 1500, rp_filter=0), mtu=1544)
    [_, netplan] = server_files(Manager.NETPLAN, wanted)

    assert netplan.mode == 0o600  # netplan complains of others
    assert netplan.text.endswith(f'        - "2001:db8::5/128"\n{section}    up0:\n      mtu: 1544\n')


def test_only_strict_rp_filter_is_changed() -> None:
    def settings(value: int) -> str:
        return files(Manager.NONE, Needs(VIPS, TunnelInterface("eth0", "ethernet", 9000, rp_filter=value)))[
            "/etc/sysctl.d/60-glb.conf"
        ]

    assert "rp_filter" not in settings(0) + settings(2)
    assert settings(1).endswith("arp_ignore = 1\nnet.ipv4.conf.all.arp_announce = 2\nnet.ipv4.conf.all.rp_filter = 2\n")


def test_commands_that_apply_the_settings_fit_the_manager() -> None:
    assert apply_now(Manager.NETPLAN, needs())[1:] == ["netplan apply"]
    assert apply_now(Manager.NONE, needs())[1:] == [
        "ip address replace 203.0.113.10/32 dev lo",
        "ip address replace 2001:db8::5/128 dev lo",
        "ip link set dev eth0 mtu 1544",
    ]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ((True, True, False), Manager.NETPLAN),
        ((False, True, True), Manager.NETWORKD),
        ((False, False, True), Manager.IFUPDOWN),
        ((False, False, False), Manager.NONE),
    ],
)
def test_the_manager_that_configures_the_interface_is_chosen(runs: tuple[bool, bool, bool], expected: Manager) -> None:
    assert choose_manager(*runs) is expected


def test_the_manager_is_found_by_the_files_that_it_leaves(tmp_path: Path) -> None:
    links = tmp_path / "run/systemd/netif/links"
    links.mkdir(parents=True)
    (links / "1").write_text("ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-lo.network\n")
    strict = tmp_path / "proc/sys/net/ipv4/conf/all"
    strict.mkdir(parents=True)
    (strict / "rp_filter").write_text("1\n")

    with own_network():
        assert host.network_manager("lo", tmp_path) is Manager.NETWORKD
        found = host.server_link("lo", tmp_path)
        (links / "1").write_text("ADMIN_STATE=unmanaged\n")
        assert host.network_manager("lo", tmp_path) is Manager.NONE

    assert found == TunnelInterface("lo", "ethernet", 65536, 1, Path("/etc/systemd/network/10-lo.network"))


def test_the_uplink_is_the_interface_of_the_default_route() -> None:
    with own_network(), IPRoute() as ip:
        assert host.default_interface() is None
        ip.link("add", kind="veth", ifname="near", peer={"ifname": "far"})
        [near], [far] = (ip.link_lookup(ifname=name) for name in ("near", "far"))
        ip.link("set", index=near, state="up")
        ip.link("set", index=far, state="up")
        ip.addr("add", index=near, address="10.0.0.1", prefixlen=24)
        ip.route("add", dst="0.0.0.0/0", gateway="10.0.0.254")

        assert host.default_interface() == "near"
        assert host.uplink("near") == host.Uplink("near", IPv4Address("10.0.0.1"), (IPv4Network("10.0.0.0/24"),))


def test_the_texts_are_valid_and_the_keys_are_those_given() -> None:
    services = [texts.ClientService(VIPS[1], 53, texts.Proto.UDP), texts.ClientService(VIPS[0], 443, texts.Proto.TCP)]
    text = texts.table_text("web", services, [IPv4Address("10.0.0.11")], b"k" * 16, b"s" * 16)
    [table] = parse_tables(text, "t").tables

    assert (table.hash_key, table.seed) == (b"k" * 16, b"s" * 16)
    assert [str(bind) for bind in table.binds] == ["[2001:db8::5]:53/udp", "203.0.113.10:443/tcp"]
    assert (table.backends[0].healthchecks.gue, table.backends[0].healthchecks.vip_tcp) == (19523, 443)
    assert parse_director(texts.director_text(IPv4Address("10.0.0.1")), "d").outbound_src_ip == IPv4Address("10.0.0.1")
    assert parse_proxy(texts.proxy_text([IPv4Network("10.0.0.0/24")]), "p").sources == (IPv4Network("10.0.0.0/24"),)


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLB_CONFIG_DIR", str(tmp_path / "glb"))
    return tmp_path / "glb"


def init_director(*words: str) -> Result:
    return CliRunner().invoke(app, ["init", "director", "--iface", "lo", "--address", "10.0.0.1", *words])


def test_a_director_gets_files_with_keys_of_its_own(etc: Path) -> None:
    done = init_director(*TABLE, "--yes", "-o", "json")

    facts = json.loads(done.stdout)
    assert problem_with("init director", facts) is None
    assert [(Path(file["path"]).name, file["fate"]) for file in facts["files"]] == [
        ("director.conf", "new"), ("forwarding_table.json", "new"),
    ]  # fmt: skip
    written = json.loads((etc / "forwarding_table.json").read_text())["tables"][0]
    again = json.loads(json.loads(init_director(*TABLE, "--print", "-o", "json").stdout)["files"][1]["text"])["tables"][
        0
    ]
    assert len({written["hash_key"], written["seed"], again["hash_key"], again["seed"]}) == 4
    assert {path.stat().st_mode & 0o777 for path in etc.iterdir()} == {0o640}


def test_a_file_that_exists_is_kept_and_force_keeps_a_copy(etc: Path) -> None:
    etc.mkdir()
    (etc / "director.conf").write_text('{"outbound_src_ip": "10.0.0.9"}')
    (etc / "forwarding_table.json").write_text("of the first director")

    kept = json.loads(init_director("--yes", "-o", "json").stdout)
    assert [file["fate"] for file in kept["files"]] == ["kept"]
    assert "10.0.0.9" in (etc / "director.conf").read_text()

    replaced = json.loads(init_director("--yes", "--force", "-o", "json").stdout)
    assert [file["fate"] for file in replaced["files"]] == ["replaced"]
    assert "10.0.0.1" in (etc / "director.conf").read_text()
    assert "10.0.0.9" in Path(replaced["copies"][0]).read_text()
    assert (etc / "forwarding_table.json").read_text() == "of the first director"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--yes"], "--vip is missing"),
        ([*TABLE], "--yes writes"),
        (["--vip", "203.0.113.10", "--backend", "10.0.0.11", "--yes"], "203.0.113.10:443"),
        (["--vip", "203.0.113.10:443", "--backend", "fd00::1", "--yes"], "--backend"),
        (["--vip", "203.0.113.10:443", "--vip", "203.0.113.10:443", "--backend", "10.0.0.11", "--yes"], "already"),
    ],
)
def test_where_an_answer_is_missing_or_wrong_nothing_is_written(etc: Path, words: list[str], message: str) -> None:
    done = init_director(*words, "-o", "json")

    assert done.exit_code != 0
    assert message in f"{done.stderr}{done.exception}"
    assert not etc.exists()


def test_on_a_terminal_init_prompts_and_writes_after_a_yes(etc: Path) -> None:
    def run(answers: str) -> tuple[int, str]:
        terminal, inner = pty.openpty()
        os.write(terminal, answers.encode())
        command = [sys.executable, "-m", "glb.ctl", "init", "director", "--iface", "lo", "--address", "10.0.0.1"]
        done = subprocess.run(command, stdin=inner, capture_output=True, text=True, check=False, timeout=60)
        for descriptor in (terminal, inner):
            os.close(descriptor)
        return done.returncode, done.stdout + done.stderr

    refused, _ = run("203.0.113.10:443\n10.0.0.11 10.0.0.12\nn\n")
    assert refused == 1
    assert not etc.exists()

    status, shown = run("203.0.113.10\n203.0.113.10:443\n10.0.0.11 10.0.0.12\ny\n")
    assert status == 0, shown
    assert "is not a VIP with its port" in shown
    assert f"\n{etc}/forwarding_table.json: " in shown
    backends = parse_tables((etc / "forwarding_table.json").read_text(), "t").tables[0].backends
    assert [str(backend.address) for backend in backends] == ["10.0.0.11", "10.0.0.12"]


def test_a_proxys_files_are_shown_and_need_sources(etc: Path) -> None:
    def run(*words: str) -> Result:
        command = [
            "init",
            "proxy",
            "--iface",
            "lo",
            "--network",
            "netplan",
            "--vip",
            "203.0.113.10",
            *words,
            "-o",
            "json",
        ]
        return CliRunner().invoke(app, command)

    shown = json.loads(run("--source", "10.0.0.0/24", "--print").stdout)
    assert [file["path"] for file in shown["files"]] == [
        f"{etc}/proxy.conf", "/etc/sysctl.d/60-glb.conf", "/etc/netplan/70-glb.yaml",
    ]  # fmt: skip
    assert not shown["written"]
    assert not etc.exists()
    assert run("--print").exit_code != 0


def test_check_reads_the_files_of_this_host(etc: Path) -> None:
    assert CliRunner().invoke(app, ["check"]).exit_code == 2
    init_director(*TABLE, "--yes")
    (etc / "proxy.conf").write_text('{"sources": ["0.0.0.0/0"]}')

    done = CliRunner().invoke(app, ["check", "-o", "json"])

    assert [(Path(f["file"]).name, f["good"]) for f in json.loads(done.stdout)] == [
        ("director.conf", True), ("forwarding_table.json", True), ("proxy.conf", True),
    ]  # fmt: skip
    assert json.loads(done.stdout)[2]["warnings"][0].startswith(f"{etc}/proxy.conf: sources[0]: 0.0.0.0/0 accepts")
