# SPDX-License-Identifier: MIT
"""ExaBGP as the speaker: a process that glb starts, and controls through the agent that ExaBGP runs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from glb.config.model import Network
from glb.config.routing import Routing
from glb.errors import RoutingError
from glb.files import replace_file
from glb.routing import stale_speaker
from glb.routing.exabgp_config import exabgp_config, exabgp_routes
from glb.routing.speaker import ESTABLISHED, Session

_BOUND_S = 30.0
_POLL_S = 0.02
_STATES = {"up": ESTABLISHED, "connected": "connect", "down": "down"}
_SETTINGS = {
    "exabgp_daemon_user": "root",
    "exabgp_daemon_drop": "false",
    "exabgp_api_ack": "true",
    "exabgp_api_cli": "false",
    "exabgp_api_respawn": "false",
    "exabgp_log_statistics": "false",
}
"""ExaBGP's user must be able to create the agent's socket; ExaBGP's own command line is disabled. A second agent would
not know the routes of the first, so ExaBGP does not restart it: glb replaces an ExaBGP without its agent."""


class ExaBgp:
    """An ExaBGP that glb starts in a session of its own. A later daemon finds it by its agent's socket."""

    def __init__(self, folder: Path, name: str) -> None:
        """`folder` gets the files `<name>.exabgp.conf`, `.ctl` (the agent's socket), `.pid` and `.log`."""
        self._config = folder / f"{name}.exabgp.conf"
        self._agent = folder / f"{name}.exabgp.ctl"
        self._pid = folder / f"{name}.exabgp.pid"
        self._log = folder / f"{name}.exabgp.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._routing: Routing | None = None

    def start(self, routing: Routing) -> bool:
        """As in Speaker. An ExaBGP with other sessions is replaced, since it cannot change them."""
        self._routing = routing
        text = exabgp_config(routing, [sys.executable, "-m", "glb.routing.exabgp_agent", str(self._agent)])
        if self._responds():
            if self._config.exists() and self._config.read_text() == text:
                return True
            self.stop()
        self._config.touch(0o600)  # replace_file keeps this mode: the file has passwords
        replace_file(self._config, text.encode())
        self._spawn()
        return False

    def announce(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()) -> None:
        assert self._routing is not None
        refused = self._request({"routes": exabgp_routes(self._routing, prefixes, graceful_shutdown)})["refused"]
        if refused:
            raise RoutingError(f"ExaBGP refuses {'; '.join(refused)}: see {self._log}")

    def withdraw(self) -> None:
        self.announce(())

    def sessions(self) -> tuple[Session, ...]:
        assert self._routing is not None
        states = self._request({})["sessions"]
        return tuple(
            Session(str(peer.address), _STATES.get(states.get(str(peer.address)), "idle"))
            for peer in self._routing.peers
        )

    def stop(self) -> None:
        """ExaBGP closes its sessions; its agent, and so the connection, ends with it."""
        if not self._responds():
            return
        with self._connection() as agent, agent.makefile("rw") as stream:
            os.kill(_exchange(stream, {})["pid"], signal.SIGTERM)
            stream.read()
        if self._child is not None:
            self._child.wait()

    def _spawn(self) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        program = shutil.which("exabgp", path=path)
        if program is None:
            raise RoutingError("exabgp is not installed: `pip install 'glb[exabgp]'`")
        stale_speaker.kill(self._pid, self._config)
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [program, str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | _SETTINGS,
                start_new_session=True,
            )
        self._pid.write_text(str(self._child.pid))
        deadline = time.monotonic() + _BOUND_S
        while not self._responds():
            if self._child.poll() is not None:
                raise RoutingError(f"exabgp does not start with {self._config}: see {self._log}")
            if time.monotonic() > deadline:
                raise RoutingError(f"exabgp has not started its agent in {_BOUND_S:.0f} s: see {self._log}")
            time.sleep(_POLL_S)

    def _responds(self) -> bool:
        try:
            self._request({})
        except RoutingError:
            return False
        return True

    def _request(self, request: dict[str, Any]) -> Any:
        try:
            with self._connection() as agent, agent.makefile("rw") as stream:
                return _exchange(stream, request)
        except (OSError, ValueError) as error:
            raise RoutingError(f"{self._agent}: ExaBGP does not respond: {error}") from error

    def _connection(self) -> socket.socket:
        agent = socket.socket(socket.AF_UNIX)
        try:
            agent.settimeout(_BOUND_S)
            agent.connect(str(self._agent))
        except OSError:
            agent.close()
            raise
        return agent


def _exchange(stream: Any, request: dict[str, Any]) -> Any:
    stream.write(json.dumps(request) + "\n")
    stream.flush()
    return json.loads(stream.readline())
