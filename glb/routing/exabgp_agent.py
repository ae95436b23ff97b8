# SPDX-License-Identifier: MIT
"""The agent, which ExaBGP runs, and glb's daemon talks to: `python -m glb.routing.exabgp_agent SOCKET`.

ExaBGP's API is the standard input and output of a program that it runs itself. The agent is that program, so that
routes do not depend on the daemon: the agent keeps the routes and the states of the sessions for the next daemon.

A request on the UNIX socket is a line with a JSON object: {} reads the state; {"routes": {name: [neighbour, route]}}
announces these routes and no others. The response is
{"pid": ExaBGP's, "sessions": {peer: state}, "refused": [commands that ExaBGP refused]}.
"""

import json
import os
import selectors
import socket
import sys
from pathlib import Path
from typing import Any, TextIO

_READ_BYTES = 65_536


class ExaBgpAgent:
    """Lines from ExaBGP on one side, requests on the other."""

    def __init__(self, commands: TextIO, events: int) -> None:
        self._commands = commands
        self._events = events
        self._unread = b""
        self._routes: dict[str, tuple[str, str]] = {}
        self._sessions: dict[str, str] = {}

    def listen(self) -> None:
        """Read events from ExaBGP. Raises EOFError when it has ended."""
        self._replies()

    def request(self, line: str) -> str:
        """Execute a request and return the response."""
        wanted = json.loads(line).get("routes")
        refused = [] if wanted is None else self._announce({name: tuple(route) for name, route in wanted.items()})
        return json.dumps({"pid": os.getppid(), "sessions": self._sessions, "refused": refused})

    def _announce(self, wanted: dict[str, Any]) -> list[str]:
        gone = [
            f"{neighbour} withdraw {route}" for name, (neighbour, route) in self._routes.items() if name not in wanted
        ]
        new = [
            f"{neighbour} announce {route}"
            for name, (neighbour, route) in wanted.items()
            if self._routes.get(name) != (neighbour, route)
        ]
        self._routes = wanted
        return [command for command in (*gone, *new) if not self._send(command)]

    def _send(self, command: str) -> bool:
        """Send a command. Returns whether ExaBGP accepted it."""
        self._commands.write(f"{command}\n")
        self._commands.flush()
        answers: list[bool] = []
        while not answers:
            answers = self._replies()
        return answers[-1]

    def _replies(self) -> list[bool]:
        """Wait for lines and record events. Returns for each reply whether it is 'done'."""
        data = os.read(self._events, _READ_BYTES)
        if not data:
            raise EOFError
        *lines, self._unread = (self._unread + data).split(b"\n")
        answers = (self._take(line.decode().strip()) for line in lines)
        return [answer for answer in answers if answer is not None]

    def _take(self, line: str) -> bool | None:
        """Replies are plain words or JSON, depending on the version."""
        if line in ("done", "error"):
            return line == "done"
        if not line.startswith("{"):
            return None
        message = json.loads(line)
        if "answer" in message:
            return bool(message["answer"] == "done")
        if message.get("type") == "state":
            neighbour = message["neighbor"]
            self._sessions[neighbour["address"]["peer"]] = neighbour["state"]
        return None


def main() -> None:
    path = Path(sys.argv[1])
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        agent = ExaBgpAgent(sys.stdout, sys.stdin.fileno())
        ready.register(sys.stdin, selectors.EVENT_READ)
        ready.register(listener, selectors.EVENT_READ)
        try:
            while True:
                _serve(agent, listener, ready)
        except EOFError:
            path.unlink(missing_ok=True)  # ExaBGP has ended


def _serve(agent: ExaBgpAgent, listener: socket.socket, ready: selectors.BaseSelector) -> None:
    for key, _ in ready.select():
        if key.fileobj is listener:
            ready.register(listener.accept()[0], selectors.EVENT_READ)
        elif key.fileobj is sys.stdin:
            agent.listen()
        elif isinstance(key.fileobj, socket.socket):
            _answer(agent, key.fileobj, ready)


def _answer(agent: ExaBgpAgent, client: socket.socket, ready: selectors.BaseSelector) -> None:
    """Read one request, or the end of a connection; a client may be killed in the middle of a request."""
    client.setblocking(True)
    try:
        with client.makefile("r") as lines:
            line = lines.readline()
        if line.endswith("\n"):
            client.sendall(agent.request(line).encode() + b"\n")
            return
    except (OSError, ValueError):
        pass
    ready.unregister(client)
    client.close()


if __name__ == "__main__":
    main()
