# SPDX-License-Identifier: MIT
"""Samples as metrics of Prometheus and statsd."""

import socket
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from glb.daemon.durations import NONE_YET
from glb.daemon.process import ProcessId
from glb.daemon.report import HeldBackend, Report, TableSummary
from glb.metrics.families import families
from glb.metrics.sample import Sample
from glb.metrics.statsd import counts, lines, send

REPORT = Report(
    role="director",
    interface="eth0",
    process=ProcessId.own(),
    started="2026-11-25T05:00:00.000+00:00",
    loaded="2026-11-25T05:00:00.000+00:00",
    tables_digest="abc",
    load_seconds=0.25,
    load_times=NONE_YET.with_one(0.25).with_one(0.3).with_one(60),
    tables=(
        TableSummary("web", ("203.0.113.10:80/tcp",), {"10.0.0.1": "active", "10.0.0.2": "draining, unhealthy"}, 3),
    ),
    unreachable={"10.0.0.2": "no route"},
    mtu=1500,
    path_mtus={"10.0.0.2": 1400},
    held=(HeldBackend("web", "10.0.0.1", "tcp 80: timeout"),),
    cut_off=("web",),
)
SAMPLE = Sample(
    REPORT,
    attached=True,
    packets={"encapsulated": 5, "pass_no_bind": 3, "drop_bad_ip": 1, "drop_no_next_hop": 2},
    traffic={
        ("bind", "web", "203.0.113.10:80/tcp"): (5, 500),
        ("backend", "web", "10.0.0.1"): (4, 400),
        ("backend", "web", "10.0.0.2"): (1, 100),
    },
)


def shown(*samples: Sample) -> str:
    class Fixed(Collector):
        def collect(self) -> object:  # type: ignore[override]
            return families(samples)

    registry = CollectorRegistry()
    registry.register(Fixed())
    return generate_latest(registry).decode()


def test_counters_and_states_have_their_labels() -> None:
    text = shown(SAMPLE)

    for line in (
        'glb_director_packets_total{action="tx",interface="eth0",verdict="encapsulated"} 5.0',
        'glb_director_bind_bytes_total{bind="203.0.113.10:80/tcp",interface="eth0",table="web"} 500.0',
        'glb_director_backend_packets_total{backend="10.0.0.2",interface="eth0",table="web"} 1.0',
        'glb_director_backend_state{backend="10.0.0.2",interface="eth0",state="draining",table="web"} 1.0',
        'glb_director_backend_healthy{backend="10.0.0.2",interface="eth0",table="web"} 0.0',
        'glb_director_backend_mtu_bytes{backend="10.0.0.1",interface="eth0",table="web"} 1500.0',
        'glb_director_backend_mtu_bytes{backend="10.0.0.2",interface="eth0",table="web"} 1400.0',
        'glb_director_backend_next_hop_known{backend="10.0.0.2",interface="eth0",table="web"} 0.0',
        'glb_director_backend_next_hop_known{backend="10.0.0.1",interface="eth0",table="web"} 1.0',
        'glb_director_backend_held{backend="10.0.0.1",interface="eth0",table="web"} 1.0',
        'glb_director_backend_held{backend="10.0.0.2",interface="eth0",table="web"} 0.0',
        'glb_director_table_cut_off{interface="eth0",table="web"} 1.0',
        'glb_director_last_load_successful{interface="eth0"} 1.0',
        'glb_director_last_load_timestamp_seconds{interface="eth0"} 1.7955828e+09',
        'glb_director_last_load_duration_seconds{interface="eth0"} 0.25',
        'glb_director_tables_info{digest="abc",interface="eth0"} 1.0',
    ):
        assert line in text.splitlines()


def test_loads_are_a_histogram() -> None:
    text = shown(SAMPLE)

    name, labels = "glb_director_load_duration_seconds", 'cause="files",interface="eth0"'
    for line in (
        f'{name}_bucket{{cause="files",interface="eth0",le="0.1"}} 0.0',
        f'{name}_bucket{{cause="files",interface="eth0",le="0.25"}} 1.0',
        f'{name}_bucket{{cause="files",interface="eth0",le="10.0"}} 2.0',
        f'{name}_bucket{{cause="files",interface="eth0",le="+Inf"}} 3.0',
        f"{name}_count{{{labels}}} 3.0",
        f"{name}_sum{{{labels}}} 60.55",
        f'{name}_count{{cause="health",interface="eth0"}} 0.0',
    ):
        assert line in text.splitlines()


def test_a_proxys_forwards_are_counted_by_hop() -> None:
    text = shown(Sample(replace(REPORT, role="proxy"), attached=True, forwards={IPv4Address("10.0.0.2"): 7}))

    assert 'glb_proxy_second_chance_forwards_total{interface="eth0",next_hop="10.0.0.2"} 7.0' in text.splitlines()


def test_a_proxys_return_paths_are_1_unless_broken() -> None:
    paths = {"ipv4": "from 203.0.113.10: no route to clients such as 4.0.0.1", "ipv6": ""}
    text = shown(Sample(replace(REPORT, role="proxy", return_paths=paths), attached=True))

    assert 'glb_proxy_return_path{family="ipv4",interface="eth0"} 0.0' in text.splitlines()
    assert 'glb_proxy_return_path{family="ipv6",interface="eth0"} 1.0' in text.splitlines()


def test_refused_files_and_a_missing_datapath_are_shown() -> None:
    text = shown(Sample(replace(REPORT, error="table.json: bad"), attached=False))

    assert 'glb_director_last_load_successful{interface="eth0"} 0.0' in text
    assert 'glb_director_attached{interface="eth0"} 0.0' in text


def test_statsd_receives_increases_under_the_original_names() -> None:
    before = counts([SAMPLE])
    more = {"encapsulated": 15, "pass_no_bind": 4, "drop_bad_ip": 1, "drop_no_next_hop": 7}
    after = counts([replace(SAMPLE, packets=more, traffic={("backend", "web", "10.0.0.1"): (15, 1500)})])

    assert set(lines(before, after)) >= {
        "glb.director.packets.processed:16|c|#glb_engine:xdp",
        "glb.director.packets.encapsulated:10|c|#glb_engine:xdp",
        "glb.director.packets.encapsulated_bytes:1580|c|#glb_engine:xdp",
        "glb.director.packets.results:15|c|#glb_engine:xdp,result:Matched",
        "glb.director.packets.results:1|c|#glb_engine:xdp,result:NoMatchingBind",
        "glb.director.packets.results:0|c|#glb_engine:xdp,result:UnknownFormat",
        "glb.director.packets.internal_errors:5|c|#glb_engine:xdp,error:ErrorMissingGatewayMAC",
    }


def test_a_reset_counter_counts_from_zero() -> None:
    fresh = counts([replace(SAMPLE, packets={"encapsulated": 2})])

    assert "glb.director.packets.encapsulated:2|c|#glb_engine:xdp" in lines(counts([SAMPLE]), fresh)


def test_a_datagram_that_the_kernel_refuses_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        send(sender, ["glb.director.packets.processed:1|c"], 0)  # no port can be 0

    assert "statsd: nothing sent: 127.0.0.1:0: Invalid argument" in caplog.text
