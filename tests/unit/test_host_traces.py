# SPDX-License-Identifier: MIT
"""A story of several hosts: one host's faulty output ends that host's part only."""

import sys

import pytest

from glb.capture.event import Event
from glb.ctl.host_traces import HostTrace, show_all

VISIT = (
    '{"host":"x","time":1,"interface":"eth0","program":"proxy","verdict":"v","action":"pass","length":60,'
    '"decision":"taken","packet":null,"came_in":null,"left_in":null}'
)
LONG = 70_000


def host(name: str, program: str) -> HostTrace:
    return HostTrace(name, [sys.executable, "-c", f"import sys; {program}; sys.stdin.read()"])


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_too_long_line_is_reported_and_other_hosts_continue(stream: str, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Event] = []
    faulty = host("faulty", f"print('x' * {LONG}, file=sys.{stream}, flush=True)")
    sound = host("sound", f"import time; time.sleep(1); print('{VISIT}', flush=True)")

    assert not show_all([faulty, sound], seen.append, count=1, seconds=None, is_over=lambda: False)

    assert [event.host for event in seen] == ["sound"]
    said = capfd.readouterr().err
    assert "error: faulty: a line of more than 65536 bytes" in said
    assert "Traceback" not in said
