# SPDX-License-Identifier: MIT
"""A director daemon with arguments and files of a test's own, in a lab that was brought up without daemons."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glb.daemon.process import ProcessId
from glb.daemon.report import Report, read_report
from glb.director.sources import Sources
from glb.lab import Lab
from glb.lab.process import LabDaemon, argv_in, end
from tests.lab.helpers import fated
from tests.lab.helpers.packets import wait_for

HOST = "director1"
_LOAD_BOUND_S = 60.0
HASH_KEY = "474c42206b657920746573742d303031"
SEED = "474c42207365656420746573742d3031"


def table(name: str, ports: Sequence[int], proxies: Sequence[str], **changes: Any) -> dict[str, Any]:
    """A forwarding table for UDP to both VIPs. The proxies are addresses."""
    return {
        "name": name,
        "hash_key": HASH_KEY,
        "seed": SEED,
        "binds": [
            {"ip": vip, "proto": "udp", "port": port} for vip in ("203.0.113.10", "2001:db8:f::10") for port in ports
        ],
        "backends": [{"ip": proxy, "state": "active", "healthy": True} for proxy in proxies],
    } | changes


def replace(path: Path, *tables: dict[str, Any]) -> None:
    """Put other tables in the place of a file's, in one step."""
    replace_text(path, json.dumps({"tables": tables}))


def replace_text(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)


class Director:
    """`glbctl director run` on director1, with a table file of its own."""

    def __init__(self, lab: Lab, table: Path) -> None:
        self.lab = lab
        self.table = table
        self.config = lab.run_dir / f"{HOST}.conf"
        self.log = table.with_suffix(".log")
        self.env = dict(lab.env)
        self._armed = table.with_suffix(".armed")
        self._id: ProcessId | None = None

    @property
    def command(self) -> list[str]:
        files = ["--config", str(self.config), "--table", str(self.table)]
        return ["glbctl", "director", "run", "--iface", HOST, *files]

    def start(self, *options: str, fate: str | None = None) -> None:
        """fate: as helpers/fated.py takes it; it is met when `armed`."""
        command = [*self.command, *options]
        argv = command if fate is None else self.fated(fate, command)
        daemon = LabDaemon(self.lab.namespace(HOST), argv, self.log, self.env)
        self._id = daemon.id
        daemon.wait_until_ready()

    def start_and_die(self, fate: str) -> None:
        """Start, and be killed at a place before it is ready."""
        argv = argv_in(self.lab.namespace(HOST), self.fated(fate, self.command))
        with self.armed(), self.log.open("ab") as log:
            ended = subprocess.run(argv, env=self.env, stdout=log, stderr=log, check=False, timeout=_LOAD_BOUND_S)
        assert ended.returncode == -signal.SIGKILL, f"{fate}: {self.log.read_text()}"

    @contextmanager
    def armed(self) -> Iterator[None]:
        """What a director is fated to die at, kills it from now on."""
        self._armed.touch()
        try:
            yield
        finally:
            self._armed.unlink()

    def wait_until_dead(self) -> None:
        wait_for(lambda: self._id is None or not self._id.is_alive(), "the director meets its fate", _LOAD_BOUND_S)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._id is not None:
            end(self._id, how)
            self._id = None

    def send(self, number: signal.Signals) -> None:
        assert self._id is not None
        assert self._id.is_alive()
        os.kill(self._id.pid, number)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It sees nothing of what happens meanwhile until that is over."""
        assert self._id is not None
        self._id.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._id.send(signal.SIGCONT)

    @property
    def report(self) -> Report:
        return read_report(Path(self.env["GLB_RUN_DIR"]) / f"{HOST}.status.json")

    def wait_until_loaded(self) -> None:
        """Until the files are in force as they are now."""
        digest = Sources(self.config, self.table).contents().digest
        wait_for(lambda: self.report.digest == digest, "the director loads its files", _LOAD_BOUND_S)

    def wait_until(self, holds: Callable[[Report], bool]) -> None:
        wait_for(lambda: holds(self.report), "the director reports it")

    def wait_until_refused(self) -> None:
        digest = Sources(self.config, self.table).contents().digest
        wait_for(lambda: self.report.rejected_digest == digest, "the director refuses its files")

    def fated(self, fate: str, command: Sequence[str]) -> list[str]:
        """A command of glbctl with a fate."""
        return [sys.executable, "-P", str(Path(fated.__file__)), fate, str(self._armed), *command[1:]]
