# SPDX-License-Identifier: MIT
"""BIRD's control socket: one reply to each command.

A line of a reply is a four-digit code, then "-" if more lines follow or a space if it is the last, then text. A line
that begins with a space continues the line before. Source: BIRD 2's programmer's documentation, on the CLI.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from glb.errors import RoutingError

_BOUND_S = 10.0
_CODE = re.compile(r"(\d{4})([ -])(.*)")
_FIRST_ERROR = 8000


@dataclass(frozen=True, slots=True)
class Line:
    code: int
    text: str


def run(control: Path, command: str) -> list[Line]:
    """BIRD's reply to a command. Raises RoutingError if there is no reply, or an error."""
    with _connected(control) as stream:
        return _run(stream, command, control)


def answers(control: Path) -> bool:
    """Whether a BIRD listens on the socket."""
    try:
        run(control, "show status")
    except RoutingError:
        return False
    return True


def shut_down(control: Path) -> None:
    """Stop a BIRD and wait for its end; it closes its BGP sessions first. Raises RoutingError."""
    with _connected(control) as stream:
        _run(stream, "down", control)
        while stream.read(1):
            pass


@contextmanager
def _connected(control: Path) -> Iterator[TextIO]:
    """A connection whose greeting has been read."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_BOUND_S)
            connection.connect(str(control))
            with connection.makefile("rw") as stream:
                _reply(stream)
                yield stream
    except OSError as error:
        raise RoutingError(f"{control}: BIRD does not respond: {error.strerror or error}") from error


def _run(stream: TextIO, command: str, control: Path) -> list[Line]:
    stream.write(f"{command}\n")
    stream.flush()
    reply = _reply(stream)
    if not reply or reply[-1].code >= _FIRST_ERROR:
        text = "; ".join(line.text for line in reply) or "nothing"
        raise RoutingError(f'{control}: BIRD refuses "{command}": {text}')
    return reply


def _reply(stream: TextIO) -> list[Line]:
    reply: list[Line] = []
    # Not `for text in stream`: the file of a socket cannot be written to while it is iterated over.
    while text := stream.readline():
        found = _CODE.match(text)
        if found is None:
            reply.append(Line(reply[-1].code, text.strip()))
            continue
        reply.append(Line(int(found[1]), found[3].strip()))
        if found[2] == " ":
            break
    return reply
