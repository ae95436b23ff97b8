# SPDX-License-Identifier: MIT
"""The corpus that script/pcaps writes."""

from pathlib import Path

from scapy.utils import rdpcap

from . import director_cases, pcaps, proxy_cases


def test_each_named_packet_has_a_file_of_both_frames(tmp_path: Path) -> None:
    pcaps.write(tmp_path)
    index = (tmp_path / "index.md").read_text()
    programs = (("director", director_cases.CASES, pcaps.run_director), ("proxy", proxy_cases.CASES, pcaps.run_proxy))
    for name, cases, run in programs:
        for case in cases:
            result = run(case)
            frames = [packet.original for packet in rdpcap(str(tmp_path / name / f"{case.name}.pcap"))]
            assert frames == [frame for frame in (case.frame, result.frame) if frame is not None]
            assert f"| {name}/{case.name}.pcap | {case.proves} | {case.setup} | `{case.verdict}` |" in index
