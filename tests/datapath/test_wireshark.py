# SPDX-License-Identifier: MIT
"""The Wireshark dissector, by tshark, on tunnels as the datapath makes them and on broken ones."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import wrpcap

from glb.scapy import GLBGUE
from tests.model import director_cases
from tests.model.pcaps import run_director, write_pcap

DISSECTOR = Path(__file__).parents[2] / "docs" / "wireshark" / "glb.lua"
HOPS = ["10.0.0.2", "10.0.0.3"]
ENDS = (
    Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
    / IP(src="10.0.0.100", dst="10.0.0.1")
    / UDP(sport=0x8123, dport=19523, chksum=0)
)
INNER4 = IP(src="198.18.0.7", dst="203.0.113.10") / TCP(sport=4711, dport=80)
INNER6 = IPv6(src="2001:db8:c::7", dst="2001:db8:f::10") / UDP(sport=4711, dport=53)


def dissect(capture: Path, *fields: str) -> list[dict[str, list[str]]]:
    """Each packet's values of the fields, all occurrences; Wireshark's versions write names of columns differently.

    As another user, since newer versions run no dissectors in Lua for root.
    """
    wanted = [word for field in fields for word in ("-e", field)]
    with tempfile.TemporaryDirectory() as folder, capture.open("rb") as packets:
        Path(folder).chmod(0o755)
        dissector = Path(shutil.copyfile(DISSECTOR, Path(folder) / DISSECTOR.name))
        dissector.chmod(0o644)
        done = subprocess.run(
            ["tshark", "-X", f"lua_script:{dissector}", "-r", "-", "-T", "json", *wanted],
            stdin=packets,
            capture_output=True,
            check=True,
            timeout=60,
            user="nobody",
            group="nogroup",
            extra_groups=[],
            env={"PATH": os.environ["PATH"], "HOME": folder},
        )
    layers = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
    return [{name.lower(): values for name, values in packet.items()} for packet in layers]


def tunnel(inner: Packet = INNER4, **header: Any) -> Packet:
    return ENDS / GLBGUE(**({"hops": HOPS} | header)) / inner


def captured(folder: Path, *packets: Packet) -> Path:
    path = folder / "tunnels.pcap"
    wrpcap(str(path), list(packets))
    return path


def test_header_hops_and_the_packets_inside_are_dissected(tmp_path: Path) -> None:
    capture = captured(tmp_path, tunnel(), tunnel(INNER6, next_hop=1), tunnel(hops=[]))

    four, six, alone = dissect(
        capture,
        "glb.next_hop",
        "glb.hop_count",
        "glb.hop",
        "glb.chance",
        "ip.dst",
        "ipv6.dst",
        "tcp.dstport",
        "udp.dstport",
    )

    assert (four["glb.next_hop"], four["glb.hop_count"]) == (["0"], ["2"])
    assert four["glb.hop"] == HOPS
    assert four["glb.chance"] == ["straight from a director"]
    assert (four["ip.dst"], four["tcp.dstport"]) == (["10.0.0.1", "203.0.113.10"], ["80"])
    assert six["glb.chance"] == ["sent on 1 time, 1 hop left"]
    assert (six["ipv6.dst"], six["udp.dstport"]) == (["2001:db8:f::10"], ["19523", "53"])
    assert (alone["glb.hop_count"], "glb.hop" in alone) == (["0"], False)


def test_wireshark_finds_each_named_packet_well_formed(tmp_path: Path) -> None:
    results = [run_director(case) for case in director_cases.CASES]
    frames = [result.frame for result in results if result.verdict == "encapsulated" and result.frame is not None]
    write_pcap(tmp_path / "director.pcap", frames)

    packets = dissect(tmp_path / "director.pcap", "glb.hop_count", "glb.malformed")

    assert len(packets) == len(frames) > 50
    assert all("glb.hop_count" in packet and "glb.malformed" not in packet for packet in packets)


BROKEN: Sequence[tuple[dict[str, Any], str]] = (
    ({"version": 1}, "GUE version is not 0"),
    ({"control": 1}, "a control message"),
    ({"flags": 1}, "GUE flags are set"),
    ({"type": 1}, "private data of an unknown type"),
    ({"hlen": 7}, "hlen is not hop_count + 1"),
    ({"next_hop": 3}, "next_hop is beyond hop_count"),
    ({"proto": 47}, "neither IPv4 nor IPv6 inside"),
)
CUT_OFF = ((6, "the header is cut off"), (12, "the list of hops is cut off"))


def test_what_contradicts_the_format_is_named(tmp_path: Path) -> None:
    header = bytes(GLBGUE(hops=HOPS))
    cut = [(ENDS / header[:length], fault) for length, fault in CUT_OFF]
    broken = [(tunnel(**fields), fault) for fields, fault in BROKEN] + cut

    packets = dissect(captured(tmp_path, *(packet for packet, _ in broken)), "_ws.col.Info", "ip.dst")

    for (_, fault), packet in zip(broken, packets, strict=True):
        assert fault in packet["_ws.col.info"][0]
        assert packet["ip.dst"] == ["10.0.0.1"], "nothing inside is believed"
