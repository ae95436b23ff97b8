# SPDX-License-Identifier: MIT
"""BIRD 2 as the speaker: a process that glb starts, or the operator's, which includes glb's routes."""

import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from glb.config.model import Network
from glb.config.routing import Routing
from glb.errors import RoutingError
from glb.files import replace_file
from glb.routing import bird_control, stale_speaker
from glb.routing.bird_config import STATIC, bird_config, bird_routes, peer_of
from glb.routing.speaker import Session

_BIRD = "bird"
_PROTOCOL, _PROTOCOL_DETAILS = 1002, 1006  # codes of the lines of `show protocols all`
_BGP_STATE = "BGP state:"


class OwnBird:
    """A BIRD that glb starts in the background. A later daemon finds it by its control socket."""

    def __init__(self, folder: Path, name: str) -> None:
        """`folder` gets the files `<name>.bird.conf`, `.ctl` (the socket), `.pid` and `.log`."""
        self._config = folder / f"{name}.bird.conf"
        self._control = folder / f"{name}.bird.ctl"
        self._pid = folder / f"{name}.bird.pid"
        self._log = folder / f"{name}.bird.log"
        self._routing: Routing | None = None

    def start(self, routing: Routing) -> bool:
        self._routing = routing
        if bird_control.answers(self._control):
            return True
        self._write((), ())
        stale_speaker.kill(self._pid, self._control)
        self._control.unlink(missing_ok=True)
        command: list[str | Path] = [_BIRD, "-c", self._config, "-s", self._control, "-P", self._pid]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise RoutingError("bird is not installed: `apt-get install bird2`") from None
        if done.returncode:
            raise RoutingError(f"bird does not start with {self._config}: {(done.stderr or done.stdout).strip()}")
        return False

    def announce(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()) -> None:
        self._write(prefixes, graceful_shutdown)
        bird_control.run(self._control, "configure")

    def withdraw(self) -> None:
        self.announce(())

    def sessions(self) -> tuple[Session, ...]:
        assert self._routing is not None
        states = bgp_states(self._control)
        return tuple(Session(peer_of(name, self._routing), state) for name, state in states.items())

    def stop(self) -> None:
        if bird_control.answers(self._control):
            bird_control.shut_down(self._control)

    def _write(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network]) -> None:
        assert self._routing is not None
        text = bird_config(self._routing, prefixes, self._log, graceful_shutdown)
        self._config.touch(0o600)  # replace_file keeps this mode: the file has passwords
        replace_file(self._config, text.encode())


class OperatorsBird:
    """The operator's BIRD. It receives routes by a file that its configuration includes."""

    def __init__(self, control: Path, routes: Path) -> None:
        self._control = control
        self._routes = routes
        self._routing: Routing | None = None

    def start(self, routing: Routing) -> bool:
        """As in Speaker. Raises RoutingError also if the configuration does not include the routes."""
        self._routing = routing
        if not self._routes.exists():
            self._write((), ())
        bird_control.run(self._control, "configure")
        for name in STATIC.values():
            try:
                bird_control.run(self._control, f"show protocols {name}")
            except RoutingError as error:
                raise RoutingError(
                    f'{self._control}: this BIRD has no protocol {name}: add `include "{self._routes}*";`'
                    " to its configuration"
                ) from error
        return True

    def announce(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network] = ()) -> None:
        self._write(prefixes, graceful_shutdown)
        bird_control.run(self._control, "configure")

    def withdraw(self) -> None:
        self.announce(())

    def sessions(self) -> tuple[Session, ...]:
        return tuple(Session(name, state) for name, state in bgp_states(self._control).items())

    def stop(self) -> None:
        if bird_control.answers(self._control):
            self.withdraw()

    def _write(self, prefixes: Sequence[Network], graceful_shutdown: Collection[Network]) -> None:
        assert self._routing is not None
        replace_file(self._routes, bird_routes(self._routing, prefixes, graceful_shutdown).encode())


def bgp_states(control: Path) -> dict[str, str]:
    """The state of each BGP session by its protocol's name: established, connect, active, idle, down, ..."""
    states: dict[str, str] = {}
    name = ""
    for line in bird_control.run(control, "show protocols all"):
        if line.code == _PROTOCOL:
            name = line.text.split()[0]
        if line.code == _PROTOCOL_DETAILS and line.text.startswith(_BGP_STATE):
            states[name] = line.text.removeprefix(_BGP_STATE).strip().lower()
    return states
