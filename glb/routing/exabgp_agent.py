# SPDX-License-Identifier: MIT
"""The agent, which ExaBGP runs, and glb's daemon talks to: `python -m glb.routing.exabgp_agent SOCKET`.

ExaBGP's API is the standard input and output of a program that it runs itself. The agent is that program, so that
what is announced does not depend on the daemon's life: it remembers the routes, hears of the sessions, and waits for
the next daemon.

A request on the UNIX socket is a JSON object a line: {} asks only; {"routes": {name: [neighbour, route]}} has exactly
these announced. The answer is {"pid": ExaBGP's, "sessions": {peer: state}, "refused": [commands not taken]}.
"""

import json
import os
import selectors
import socket
import sys
from pathlib import Path
from typing import Any, TextIO

_READ_BYTES = 65_536


class Agent:
    """Lines from ExaBGP on one side, requests on the other."""

    def __init__(self, commands: TextIO, events: int) -> None:
        self._commands = commands
        self._events = events
        self._unread = b""
        self._routes: dict[str, tuple[str, str]] = {}
        self._sessions: dict[str, str] = {}

    def listen(self) -> None:
        """Take in what ExaBGP says unasked. Raises EOFError at its end."""
        self._answers()

    def request(self, line: str) -> str:
        """Do what is asked for."""
        wanted = json.loads(line).get("routes")
        refused = [] if wanted is None else self._announce({name: tuple(route) for name, route in wanted.items()})
        return json.dumps({"pid": os.getppid(), "sessions": self._sessions, "refused": refused})

    def _announce(self, wanted: dict[str, Any]) -> list[str]:
        gone = [f"{who} withdraw {what}" for name, (who, what) in self._routes.items() if name not in wanted]
        new = [
            f"{who} announce {what}" for name, (who, what) in wanted.items() if self._routes.get(name) != (who, what)
        ]
        self._routes = wanted
        return [command for command in (*gone, *new) if not self._told(command)]

    def _told(self, command: str) -> bool:
        """Whether ExaBGP has taken a command."""
        self._commands.write(f"{command}\n")
        self._commands.flush()
        answers: list[bool] = []
        while not answers:
            answers = self._answers()
        return answers[-1]

    def _answers(self) -> list[bool]:
        """Wait for lines; events are noted, and of answers it is told whether they are good."""
        data = os.read(self._events, _READ_BYTES)
        if not data:
            raise EOFError
        *lines, self._unread = (self._unread + data).split(b"\n")
        answers = (self._take(line.decode().strip()) for line in lines)
        return [answer for answer in answers if answer is not None]

    def _take(self, line: str) -> bool | None:
        """ExaBGP answers in plain words, or in JSON, by its version and its mood."""
        if line in ("done", "error"):
            return line == "done"
        if not line.startswith("{"):
            return None
        said = json.loads(line)
        if "answer" in said:
            return bool(said["answer"] == "done")
        if said.get("type") == "state":
            neighbour = said["neighbor"]
            self._sessions[neighbour["address"]["peer"]] = neighbour["state"]
        return None


def main() -> None:
    path = Path(sys.argv[1])
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        agent = Agent(sys.stdout, sys.stdin.fileno())
        ready.register(sys.stdin, selectors.EVENT_READ)
        ready.register(listener, selectors.EVENT_READ)
        try:
            while True:
                _serve(agent, listener, ready)
        except EOFError:
            path.unlink(missing_ok=True)  # ExaBGP has ended


def _serve(agent: Agent, listener: socket.socket, ready: selectors.BaseSelector) -> None:
    for key, _ in ready.select():
        if key.fileobj is listener:
            ready.register(listener.accept()[0], selectors.EVENT_READ)
        elif key.fileobj is sys.stdin:
            agent.listen()
        elif isinstance(key.fileobj, socket.socket):
            _answer(agent, key.fileobj, ready)


def _answer(agent: Agent, client: socket.socket, ready: selectors.BaseSelector) -> None:
    """One request, or the end of a client that may have been killed in the middle of one."""
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
