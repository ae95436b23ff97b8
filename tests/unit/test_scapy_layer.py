# SPDX-License-Identifier: MIT
"""The scapy layer, byte by byte, and each deviation that the check of a tunnel must see."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.scapy import GLBGUE, check_tunnel

HOPS = ["10.0.0.2", "10.0.0.3"]
INNER4 = IP(src="192.0.2.9", dst="198.51.100.1") / TCP(sport=1234, dport=80)
INNER6 = IPv6(src="2001:db8::9", dst="2001:db8::1") / TCP(sport=1234, dport=80)


def tunnel(inner: Packet = INNER4, **changes: Any) -> Packet:
    """A well-formed tunnel, but for changes such as ip_ttl=63, udp_sport=5, gue_flags=1."""

    def fields(layer: str, **usual: Any) -> dict[str, Any]:
        marked = {name: value for name, value in changes.items() if name.startswith(f"{layer}_")}
        return usual | {name.removeprefix(f"{layer}_"): value for name, value in marked.items()}

    return (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields("ether"))
        / IP(**fields("ip", src="10.0.0.100", dst="10.0.0.1", ttl=64, id=0, flags="DF"))
        / UDP(**fields("udp", sport=0x8123, dport=19523, chksum=0))
        / GLBGUE(**fields("gue", hops=HOPS))
        / inner
    )


@pytest.mark.parametrize(("inner", "proto"), [(INNER4, "04"), (INNER6, "29")])
def test_a_header_is_built_as_the_format_says(inner: Packet, proto: str) -> None:
    built = bytes(GLBGUE(hops=HOPS) / inner)

    assert built.hex() == f"03{proto}0000000000020a0000020a000003" + bytes(inner).hex()


def test_a_header_without_hops_has_one_word_of_private_data() -> None:
    assert bytes(GLBGUE()).hex() == "0104000000000000"


def test_fields_that_are_given_are_not_computed() -> None:
    assert bytes(GLBGUE(hlen=7, hop_count=9, next_hop=2, hops=HOPS[:1])).hex() == "07040000000002090a000002"


@pytest.mark.parametrize(("inner", "kind"), [(INNER4, IP), (INNER6, IPv6)])
def test_a_tunnel_is_dissected_down_to_the_inner_packet(inner: Packet, kind: type[Packet]) -> None:
    dissected = Ether(bytes(tunnel(inner, gue_next_hop=1)))

    header = dissected[GLBGUE]
    assert (header.version, header.control, header.hlen, header.flags, header.type) == (0, 0, 3, 0, 0)
    assert (header.next_hop, header.hop_count, header.hops) == (1, 2, HOPS)
    assert isinstance(header.payload, kind)
    assert bytes(header.payload) == bytes(inner)


@pytest.mark.parametrize("inner", [INNER4, INNER6])
@pytest.mark.parametrize("hops", [[], HOPS, ["10.0.0.2"] * 15])
def test_a_well_formed_tunnel_has_no_deviation(inner: Packet, hops: list[str]) -> None:
    assert check_tunnel(tunnel(inner, gue_hops=hops)) == []


@pytest.mark.parametrize(
    ("changes", "deviation"),
    [
        ({"ether_type": 0x86DD}, "Ethernet: type is 0x86dd, not 0x0800"),
        ({"ip_ttl": 63}, "outer IPv4: TTL is 63, not 64"),
        ({"ip_flags": 0}, "outer IPv4: flags and fragment offset are 0x0000, not 0x4000 (don't fragment)"),
        ({"ip_id": 7}, "outer IPv4: identification is 7, not 0"),
        ({"ip_tos": 4}, "outer IPv4: DSCP and ECN is 4, not 0"),
        ({"ip_chksum": 1}, "outer IPv4: checksum is wrong"),
        ({"ip_len": 99}, "outer IPv4: total length is 99, not 84"),
        ({"ip_proto": 6}, "outer IPv4: protocol is 6, not 17"),
        ({"ip_version": 5}, "outer IPv4: version is 5, not 4"),
        ({"ip_ihl": 6}, "outer IPv4: header length in words is 6, not 5"),
        ({"udp_dport": 19524}, "UDP: destination port is 19524, not 19523"),
        ({"udp_sport": 0x7FFF}, "UDP: source port is 32767, not 32768 or above"),
        ({"udp_chksum": 5}, "UDP: checksum is 5, not 0"),
        ({"udp_len": 65}, "UDP: length is 65, not 64"),
        ({"gue_version": 1}, "GUE: version is 1, not 0"),
        ({"gue_control": 1}, "GUE: control bit is 1, not 0"),
        ({"gue_hlen": 2}, "GUE: hlen is 2, not 3"),
        ({"gue_flags": 1}, "GUE: flags is 1, not 0"),
        ({"gue_type": 1}, "GUE: private type is 1, not 0"),
        ({"gue_next_hop": 3}, "GUE: next_hop is 3, beyond hop_count 2"),
        ({"gue_hops": ["10.0.0.2", "0.0.0.0"]}, "GUE: hop 1 is 0.0.0.0"),
        ({"gue_proto": 41}, "GUE: inner version is 4, not 6"),
        ({"gue_proto": 47}, "GUE: protocol is 47, not 4 (IPv4) or 41 (IPv6)"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_deviation_is_named(changes: dict[str, Any], deviation: str) -> None:
    assert deviation in check_tunnel(tunnel(**changes))


def test_every_deviation_is_listed_not_only_the_first() -> None:
    assert check_tunnel(tunnel(ip_ttl=1, udp_chksum=5, gue_flags=1)) == [
        "outer IPv4: TTL is 1, not 64",
        "UDP: checksum is 5, not 0",
        "GUE: flags is 1, not 0",
    ]


@pytest.mark.parametrize(
    ("length", "deviation"),
    [
        (10, "Ethernet: cut short: 10 bytes of 14"),
        (30, "outer IPv4: cut short: 16 bytes of 20"),
        (40, "UDP: cut short: 6 bytes of 8"),
        (49, "GUE: cut short: 7 bytes of 8"),
        (53, "GUE: cut short: 2 hops end at byte 16, the frame at 11"),
        (70, "GUE: inner packet is cut short: 12 bytes, its header alone takes 20"),
        (97, "GUE: inner packet's length is 40, not 39"),
    ],
)
def test_truncated_frame_is_marked(length: int, deviation: str) -> None:
    assert check_tunnel(bytes(tunnel())[:length])[-1] == deviation


def test_bytes_behind_the_inner_packet_are_a_deviation() -> None:
    padded = Raw(bytes(INNER4) + bytes(2))

    assert check_tunnel(tunnel(padded)) == ["GUE: inner packet's length is 40, not 42"]
