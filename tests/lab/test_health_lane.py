# SPDX-License-Identifier: MIT
"""Nothing that a director does or meets keeps it from following health: a backend dies meanwhile, and the rows follow.

The bound is generous, since tests share a busy machine; `script/bench` measures the time.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glb.control.client import Client
from glb.datapath.inspection import open_attached
from glb.lab import Lab
from tests.conftest import unique_name
from tests.lab.helpers.commands import glbctl
from tests.lab.helpers.director import HASH_KEY, HOST, SEED, Director, replace_text
from tests.lab.helpers.hung import hung
from tests.lab.helpers.packets import wait_for

BOUND_S = 6.0
NOBODY = 65534
MORTAL = "proxy1"
BACKENDS = ("10.77.0.101", "10.77.0.102")
SILENT = "10.77.0.103"
CHECKS = {"interval_ms": 200, "timeout_ms": 500, "fall": 2, "rise": 1, "slow_interval_ms": 200}


def source(*more: dict[str, Any], tables: int = 1) -> str:
    """The table `web`, whose first backend is the one that will die; `more` are further backends of it."""
    backends = [{"ip": ip, "healthchecks": {"tcp": 80}} for ip in BACKENDS]
    table = {
        "name": "web",
        "hash_key": HASH_KEY,
        "seed": SEED,
        "binds": [{"ip": "203.0.113.10", "proto": "tcp", "port": 80}],
        "backends": [{"state": "active", "healthy": True} | backend for backend in (*backends, *more)],
    }
    return json.dumps({"tables": [table, *(large(number) for number in range(1, tables))], "healthchecks": CHECKS})


def large(number: int) -> dict[str, Any]:
    """A table of 256 backends that are not checked."""
    addresses = [f"10.{100 + number}.0.{host}" for host in range(1, 255)]
    return {
        "name": f"large {number}",
        "hash_key": HASH_KEY,
        "seed": f"{number:032x}",
        "binds": [{"ip": "203.0.113.10", "proto": "tcp", "port": 8000 + number}],
        "backends": [{"ip": address, "state": "active", "healthy": True} for address in addresses],
    }


@pytest.fixture(scope="module")
def network() -> Iterator[Lab]:
    with Lab.up(unique_name(), owned=True, daemons=False, directors=1, proxies=3) as lab:
        yield lab


@pytest.fixture
def director(network: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Director]:
    """A director that checks two backends; each of its folders is its own."""
    monkeypatch.setenv("GLB_PIN_DIR", str(network.pin_dir))
    folder = tmp_path / "tables"
    folder.mkdir()
    director = Director(network, folder / "forwarding_table.json")
    director.log = tmp_path / "director.log"
    director.env |= {"GLB_STATE_DIR": str(tmp_path / "state"), "GLB_RUN_DIR": str(tmp_path / "run")}
    director.config = folder / "director.conf"
    director.config.write_bytes((network.run_dir / f"{HOST}.conf").read_bytes())
    director.table.write_text(source())
    director.start()
    wait_for(lambda: takers(network) == {0, 1}, "both backends take connections")
    yield director
    director.stop()
    network.start_web_server(MORTAL)


def takers(lab: Lab) -> set[int]:
    """The backends of the first table that are the first hop of a row, by their place in it, as the kernel has it."""

    def read_rows() -> set[int]:
        program = open_attached(HOST)
        try:
            generation = int(program.view("state")[0]["generation"])
            start = generation * program.constants["MAX_SLOTS"]
            return {int(place) for place in np.unique(program.view("rows")[start : start + 65536]["backend"][:, 0])}
        finally:
            program.close()

    return lab.within(HOST, read_rows)


def api(director: Director) -> Client:
    return Client(Path(director.env["GLB_RUN_DIR"]) / f"{HOST}.sock", timeout=120)


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Something that takes long begins, and has ended at the end of the block."""
    working = threading.Thread(target=action)
    working.start()
    try:
        yield
    finally:
        working.join(120)
        assert not working.is_alive()


@contextmanager
def a_plan_of_large_tables(director: Director) -> Iterator[None]:
    def plan() -> None:
        assert api(director).post("/v1/tables/plan", {"source": source(tables=9)})

    with meanwhile(plan):
        yield


@contextmanager
def a_reload_of_ten_thousand_backends(director: Director) -> Iterator[None]:
    """Status answers during it, too."""
    many = [f"10.{100 + number // 65536}.{number // 256 % 256}.{number % 256}" for number in range(10_000)]
    tables = json.loads(source())
    tables["tables"].append(large(1) | {"backends": [{"ip": ip, "state": "active", "healthy": True} for ip in many]})
    replace_text(director.table, json.dumps(tables))
    with meanwhile(lambda: api(director).post("/v1/reload")):
        asked = time.monotonic()
        assert len(api(director).get("/v1/status")[0]["tables"]) == 1
        assert time.monotonic() - asked < BOUND_S
        yield


@contextmanager
def a_reload_with_a_silent_backend(director: Director) -> Iterator[None]:
    """It accepts connections, answers nothing, and has 15 s to do so."""
    with director.lab.open_socket("proxy3", socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((SILENT, 8080))
        listener.listen()
        silent = {"ip": SILENT, "healthchecks": {"http": 8080, "timeout_ms": 15000}}
        replace_text(director.table, source(silent))
        began = time.monotonic()
        [outcome] = api(director).post("/v1/reload")
        assert outcome["reloaded"]
        assert time.monotonic() - began < 10
        assert director.report.tables[0].backends[SILENT] == "active, unhealthy"  # as `initial` says
        yield


@contextmanager
def locks_of_another_user(director: Director) -> Iterator[None]:
    """On all that such a user may open; an edit by a command succeeds all the same."""
    folders = (
        director.table.parent,
        director.lab.pin_dir,
        director.lab.pin_dir / HOST,
        Path(director.env["GLB_RUN_DIR"]),
    )
    with as_nobody(folders):
        edit = glbctl(director.lab, HOST, "backend", "drain", str(director.table), BACKENDS[0], "--force")
        assert edit.returncode == 0, edit.stderr
        edit = glbctl(director.lab, HOST, "backend", "activate", str(director.table), BACKENDS[0], "--force")
        assert edit.returncode == 0, edit.stderr
        yield


@contextmanager
def as_nobody(folders: tuple[Path, ...]) -> Iterator[None]:
    """Locks on folders, held by a process without rights. They are opened for it: some are root's alone."""
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders]
    script = (
        "import fcntl, sys; [fcntl.flock(int(fd), fcntl.LOCK_EX) for fd in sys.argv[1:]]; print(flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, opened)],
        user=NOBODY,
        pass_fds=opened,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for descriptor in opened:
        os.close(descriptor)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n"
    try:
        yield
    finally:
        holder.communicate(b"\n", 10)


@contextmanager
def a_fifo_for_each_file(director: Director) -> Iterator[None]:
    for path in (director.table, director.config):
        good = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        director.wait_until(lambda report, path=path: f"{path}: this is a FIFO" in (report.error or ""))
        path.unlink()
        path.write_bytes(good)
    director.table.rename(director.table.with_suffix(".good"))
    os.mkfifo(director.table)
    director.wait_until(lambda report: "this is a FIFO" in (report.error or ""))
    yield
    director.table.with_suffix(".good").rename(director.table)


@contextmanager
def a_link_to_itself(director: Director) -> Iterator[None]:
    director.table.unlink()
    director.table.symlink_to(director.table.name)
    director.wait_until(lambda report: "Too many levels of symbolic links" in (report.error or ""))
    yield
    director.table.unlink()
    director.table.write_text(source())


@contextmanager
def a_hung_file_system_under_the_files(director: Director) -> Iterator[None]:
    with hung(director.table.parent):
        director.wait_until(lambda report: (report.busy or "").startswith("check for changed files, since "))
        yield
    director.wait_until(lambda report: report.busy is None)


@contextmanager
def a_hung_file_system_under_the_state(director: Director) -> Iterator[None]:
    """And a load that has something to keep there."""
    with hung(Path(director.env["GLB_STATE_DIR"])):
        replace_text(director.table, source(tables=2))
        wait_for(lambda: api(director).get("/v1/status")[0]["tables"][-1]["name"] == "large 1", "it is loaded")
        yield


@contextmanager
def a_hung_file_system_under_the_status(director: Director) -> Iterator[None]:
    with hung(Path(director.env["GLB_RUN_DIR"])):
        time.sleep(0.5)  # it writes there, and hangs
        yield


DISTURBANCES = [
    a_plan_of_large_tables,
    a_reload_of_ten_thousand_backends,
    a_reload_with_a_silent_backend,
    locks_of_another_user,
    a_fifo_for_each_file,
    a_link_to_itself,
    a_hung_file_system_under_the_files,
    a_hung_file_system_under_the_state,
    a_hung_file_system_under_the_status,
]


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda each: each.__name__)
def test_a_failure_reaches_the_rows_during_any_load(
    director: Director, disturbance: Callable[[Director], AbstractContextManager[None]]
) -> None:
    with disturbance(director):
        wait_for(lambda: 0 in takers(director.lab), "the backend takes connections before it dies")
        director.lab.kill(MORTAL, "nginx")
        died = time.monotonic()
        wait_for(lambda: 0 not in takers(director.lab), "the rows follow", BOUND_S)
        print(f"{disturbance.__name__}: {time.monotonic() - died:.2f} s")
    assert "Traceback" not in director.log.read_text()


def test_a_daemon_whose_files_hang_stops_all_the_same(director: Director) -> None:
    with hung(director.table.parent):
        director.wait_until(lambda report: report.busy is not None)
        began = time.monotonic()
        director.stop(signal.SIGTERM)
        assert time.monotonic() - began < 30
    assert "is still running and is abandoned" in director.log.read_text()
    director.start()
