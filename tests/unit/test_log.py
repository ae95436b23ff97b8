# SPDX-License-Identifier: MIT
"""The daemons' log: it does not delay the daemon, and text from elsewhere cannot forge its lines."""

import fcntl
import json
import logging
import os
import sys
from datetime import datetime
from pathlib import Path

import pytest

from glb.daemon.lifecycle import describe_start
from glb.daemon.log import JsonFormatter, PatientStream, TextFormatter


def test_lines_are_kept_while_a_pipe_is_full() -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    stream = PatientStream(write)
    lines = [f"{number:05} {'x' * 90}\n" for number in range(500)]
    for line in lines:
        stream.write(line)  # a blocking write would hang here

    got = b""
    while len(got) < sum(map(len, lines)):
        got += os.read(read, 65536)
        stream.flush()
    os.close(read)
    os.close(write)

    assert got.decode() == "".join(lines)


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = PatientStream(write)

    assert stream.write("a line\n") == 7
    os.close(write)


def test_a_long_line_is_written_whole() -> None:
    read, write = os.pipe()
    stream = PatientStream(write)
    stream.write("y" * 10_000 + "\n")

    assert len(os.read(read, 65536)) == 10_001
    os.close(read)
    os.close(write)


FORGED = "answer\n2026-01-01T00:00:00.000+00:00 ERROR \x1b[2Jall backends are down\r\u2028"


def record(message: str, *, with_traceback: bool = False) -> logging.LogRecord:
    try:
        raise ValueError("of\x1b[2J two\nlines")
    except ValueError:
        exc_info = sys.exc_info() if with_traceback else None
    return logging.LogRecord("glb.health", logging.WARNING, "file.py", 1, "web: %s", (message,), exc_info)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_foreign_text_cannot_forge_lines_or_control_a_terminal(formatter: logging.Formatter) -> None:
    line = formatter.format(record(FORGED))

    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_a_traceback_keeps_only_its_line_breaks() -> None:
    first, *rest = TextFormatter().format(record("failed", with_traceback=True)).splitlines()

    assert first.endswith("WARNING web: failed")
    assert rest[0] == "Traceback (most recent call last):"
    assert all(line.isprintable() for line in rest)


def test_times_of_the_log_have_their_zone() -> None:
    event = record("x")
    time = datetime.fromisoformat(TextFormatter().format(event).split()[0])

    assert time.utcoffset() is not None
    assert abs(time.timestamp() - event.created) < 0.01


def test_a_line_of_the_json_log_is_one_object() -> None:
    event = record(FORGED, with_traceback=True)
    facts = json.loads(JsonFormatter().format(event))

    assert set(facts) == {"time", "level", "logger", "message", "traceback"}
    assert (facts["level"], facts["logger"], facts["message"]) == ("WARNING", "glb.health", f"web: {FORGED}")
    assert datetime.fromisoformat(facts["time"]).utcoffset() is not None


def test_the_ready_line_has_version_process_and_files(tmp_path: Path) -> None:
    line = describe_start("director", ("eth0", "eth1"), (tmp_path / "director.conf", Path("tables.json")))

    assert line.startswith("eth0, eth1: director ready: glb ")
    assert f"pid {os.getpid()}" in line
    assert f"{tmp_path}/director.conf, {Path.cwd()}/tables.json" in line
