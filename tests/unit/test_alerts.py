# SPDX-License-Identifier: MIT
"""The alert rules, by Prometheus' own judgement: each fires when it must, and none when all is well."""

import json
import subprocess
from pathlib import Path
from typing import Any

RULES = Path(__file__).parents[2] / "docs" / "prometheus" / "alerts.yml"
DIRECTOR = 'job="glb",instance="d1:9480",interface="eth0"'
PROXY = 'job="glb",instance="p1:9480",interface="eth0"'
TABLE = f'{DIRECTOR},table="web"'
BACKEND = f'{TABLE},backend="10.0.0.11"'
MINUTES = 45

WELL = {
    'up{job="glb",instance="d1:9480"}': "1x100",
    f"glb_director_attached{{{DIRECTOR}}}": "1x100",
    f"glb_proxy_attached{{{PROXY}}}": "1x100",
    f'glb_proxy_return_path{{{PROXY},family="ipv4"}}': "1x100",
    f'glb_proxy_return_path{{{PROXY},family="ipv6"}}': "1x100",
    f"glb_director_last_load_successful{{{DIRECTOR}}}": "1x100",
    f'glb_director_tables_info{{{DIRECTOR},digest="aa"}}': "1x100",
    f'glb_director_tables_info{{{DIRECTOR.replace("d1", "d2")},digest="aa"}}': "1x100",
    f"glb_director_backend_healthy{{{BACKEND}}}": "1x100",
    f"glb_director_backend_held{{{BACKEND}}}": "0x100",
    f"glb_director_table_cut_off{{{TABLE}}}": "0x100",
    f"glb_director_backend_next_hop_known{{{BACKEND}}}": "1x100",
    f'glb_director_backend_state{{{BACKEND},state="active"}}': "1x100",
    f'glb_director_packets_total{{{DIRECTOR},verdict="encapsulated",action="tx"}}': "0+60000x100",
    f'glb_director_packets_total{{{DIRECTOR},verdict="drop_bad_ip",action="drop"}}': "0+6x100",
    f'glb_director_packets_total{{{DIRECTOR},verdict="answered_too_big",action="tx"}}': "0+1x100",
    f'glb_proxy_packets_total{{{PROXY},verdict="taken_established",action="pass"}}': "0+60000x100",
    f'glb_proxy_packets_total{{{PROXY},verdict="taken_syn",action="pass"}}': "0+600x100",
    f'glb_proxy_packets_total{{{PROXY},verdict="taken_handshake",action="pass"}}': "0+500x100",
    f'glb_proxy_packets_total{{{PROXY},verdict="taken_syncookie",action="pass"}}': "0+60x100",
    f'glb_proxy_packets_total{{{PROXY},verdict="taken_last_resort",action="pass"}}': "0+6x100",
    f'glb_proxy_packets_total{{{PROXY},verdict="forwarded",action="tx"}}': "0+600x100",
}

# What is otherwise, and which alert tells of it.
WRONG: dict[str, tuple[dict[str, str], set[str]]] = {
    "all is well": ({}, set()),
    "daemon": ({'up{job="glb",instance="d1:9480"}': "0x100"}, {"GlbDaemonDown"}),
    "director": ({f"glb_director_attached{{{DIRECTOR}}}": "0x100"}, {"GlbNotAttached"}),
    "proxy": ({f"glb_proxy_attached{{{PROXY}}}": "0x100"}, {"GlbNotAttached"}),
    "files": ({f"glb_director_last_load_successful{{{DIRECTOR}}}": "0x100"}, {"GlbFilesRefused"}),
    "tables": ({f'glb_director_tables_info{{{DIRECTOR},digest="bb"}}': "1x100"}, {"GlbDirectorsDisagree"}),
    "way": ({f"glb_director_backend_next_hop_known{{{BACKEND}}}": "0x100"}, {"GlbNextHopUnknown"}),
    "health": (
        {f"glb_director_backend_healthy{{{BACKEND}}}": "0x100"},
        {"GlbBackendUnhealthy", "GlbNoBackendTakesConnections"},
    ),
    "held": ({f"glb_director_backend_held{{{BACKEND}}}": "1x100"}, {"GlbHealthHeld"}),
    "cut off": (
        {f"glb_director_backend_held{{{BACKEND}}}": "1x100", f"glb_director_table_cut_off{{{TABLE}}}": "1x100"},
        {"GlbCutOff"},
    ),
    "return path": ({f'glb_proxy_return_path{{{PROXY},family="ipv4"}}': "0x100"}, {"GlbNoReturnPath"}),
    "drops": (
        {f'glb_director_packets_total{{{DIRECTOR},verdict="drop_bad_ip",action="drop"}}': "0+6000x100"},
        {"GlbDrops"},
    ),
    "size": (
        {f'glb_director_packets_total{{{DIRECTOR},verdict="answered_too_big",action="tx"}}': "0+600x100"},
        {"GlbTooBigForTheTunnel"},
    ),
    "answers that clients do not get": (
        {
            f'glb_proxy_packets_total{{{PROXY},verdict="taken_handshake",action="pass"}}': "0+200x100",
            f'glb_proxy_packets_total{{{PROXY},verdict="taken_syncookie",action="pass"}}': "0+0x100",
        },
        {"GlbHandshakesIncomplete"},
    ),
    "no handshake at all": (
        {
            f'glb_proxy_packets_total{{{PROXY},verdict="taken_handshake",action="pass"}}': "0+0x100",
            f'glb_proxy_packets_total{{{PROXY},verdict="taken_syncookie",action="pass"}}': "0+0x100",
        },
        {"GlbHandshakesIncomplete"},
    ),
    "second chances": (
        {f'glb_proxy_packets_total{{{PROXY},verdict="forwarded",action="tx"}}': "0+60000x100"},
        {"GlbSecondChanceHigh"},
    ),
    "last resorts": (
        {f'glb_proxy_packets_total{{{PROXY},verdict="taken_last_resort",action="pass"}}': "0+6000x100"},
        {"GlbConnectionsLost"},
    ),
}


def alerts() -> set[str]:
    return {line.split(":")[1].strip() for line in RULES.read_text().splitlines() if "- alert:" in line}


def firing_query(expected: set[str]) -> dict[str, Any]:
    """Prometheus keeps each alert that fires as a series of its own; count them by name."""
    return {
        "expr": 'count by (alertname) (count by (alertname, job, instance) (ALERTS{alertstate="firing"}))',
        "eval_time": f"{MINUTES}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
    }


def test_every_alert_fires_when_it_must_and_not_otherwise(tmp_path: Path) -> None:
    cases = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in (WELL | changes).items()],
            "promql_expr_test": [firing_query(expected)],
        }
        for changes, expected in WRONG.values()
    ]
    path = tmp_path / "alerts_test.yml"  # JSON is YAML
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))

    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert alerts() == {name for _, expected in WRONG.values() for name in expected}
