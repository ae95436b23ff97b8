# SPDX-License-Identifier: MIT
"""BIRD's control socket: one command, one answer.

An answer is lines of a four-digit code, then "-" if more follow or a space if it is the last, then text; a line that
begins with a space goes on with the code before it. Source: BIRD 2's programmer's documentation, on the CLI.
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


def ask(control: Path, command: str) -> list[Line]:
    """BIRD's answer. Raises RoutingError if it does not answer, or answers with an error."""
    with _conversation(control) as stream:
        return _ask(stream, command, control)


def answers(control: Path) -> bool:
    """Whether a BIRD listens on the socket."""
    try:
        ask(control, "show status")
    except RoutingError:
        return False
    return True


def shut_down(control: Path) -> None:
    """End a BIRD, and wait until it has: it takes leave of its peers first. Raises RoutingError."""
    with _conversation(control) as stream:
        _ask(stream, "down", control)
        while stream.read(1):
            pass


@contextmanager
def _conversation(control: Path) -> Iterator[TextIO]:
    """A connection, its greeting read."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_BOUND_S)
            connection.connect(str(control))
            with connection.makefile("rw") as stream:
                _answer(stream)
                yield stream
    except OSError as error:
        raise RoutingError(f"{control}: BIRD does not answer: {error.strerror or error}") from error


def _ask(stream: TextIO, command: str, control: Path) -> list[Line]:
    stream.write(f"{command}\n")
    stream.flush()
    answer = _answer(stream)
    if not answer or answer[-1].code >= _FIRST_ERROR:
        said = "; ".join(line.text for line in answer) or "nothing"
        raise RoutingError(f'{control}: BIRD refuses "{command}": {said}')
    return answer


def _answer(stream: TextIO) -> list[Line]:
    answer: list[Line] = []
    # Not `for text in stream`: a socket's file cannot be written to between two lines of an iteration.
    while text := stream.readline():
        found = _CODE.match(text)
        if found is None:
            answer.append(Line(answer[-1].code, text.strip()))
            continue
        answer.append(Line(int(found[1]), found[3].strip()))
        if found[2] == " ":
            break
    return answer
