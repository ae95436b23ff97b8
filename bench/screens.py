# SPDX-License-Identifier: MIT
"""Pictures of what `glbctl` shows at a terminal, taken from a lab at work.

`script/pictures` runs it. The programs run at a terminal of their own, which pyte interprets and rich draws.
"""

import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

from bench.moves import move
from glb.lab import Lab, hosts
from glb.lab.process import argv_in

_LINES = 60
_END_SECONDS = 60.0
_TOP_SECONDS = 22.0  # so that the sparklines have some past
_TRACED_PACKETS = 8  # two of the client's, each at a director and up to three proxies
_CLIENT = 60_007  # a number that no download uses
_ASK_SECONDS = 0.5
_COLUMNS = 118
_BASE_COLOURS = {"brown": "yellow", "default": None}


def main(folder: Path) -> None:
    """Write plan.svg, trace.svg and top.svg: a proxy is drained while 100 downloads are in flight."""
    with (
        Lab.up("screens", owned=True) as lab,
        lab.traffic("download", "--until-stopped", "--in-flight", "100") as traffic,
    ):
        traffic.wait_until(lambda: len(traffic.in_flight) >= 50)
        _take(lab, folder / "plan.svg", ["table", "plan", str(_drained_table(lab))])
        with _one_client(lab) as (client, home), _drained(lab, home):
            command = ["trace", client, str(hosts.VIP4), "--count", str(_TRACED_PACKETS)]
            _take(lab, folder / "trace.svg", command)
        soon = threading.Timer(_TOP_SECONDS / 2, lambda: move(lab, "drain", str(lab.proxies[0].addresses[0].ip)))
        soon.start()
        _take(lab, folder / "top.svg", ["top"], _TOP_SECONDS)
        soon.join()


@contextmanager
def _drained(lab: Lab, backend: str) -> Iterator[None]:
    move(lab, "drain", backend)
    yield
    move(lab, "activate", backend)


def _drained_table(lab: Lab) -> Path:
    """The lab's table with its first backend draining."""
    source = json.loads(lab.table_path.read_text())
    source["tables"][0]["backends"][0]["state"] = "draining"
    wanted = lab.run_dir / "new.json"
    wanted.write_text(json.dumps(source))
    return wanted


@contextmanager
def _one_client(lab: Lab) -> Iterator[tuple[str, str]]:
    """A connection with a request now and then: the addresses of its client and its proxy."""
    client = hosts.client_address(4, _CLIENT)
    ended = threading.Event()
    with lab.open_socket("client", socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.bind((str(client), 0))
        opened.connect((str(hosts.VIP4), hosts.HTTP_PORT))
        home = _request(opened)
        requests = threading.Thread(target=lambda: _request_again(opened, ended))
        requests.start()
        try:
            yield str(client), str(lab.host(home).addresses[0].ip)
        finally:
            ended.set()
            requests.join()


def _request_again(opened: socket.socket, ended: threading.Event) -> None:
    while not ended.wait(_ASK_SECONDS):
        _request(opened)


def _request(opened: socket.socket) -> str:
    """The name of the proxy that answers, which is all of its answer."""
    opened.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    head, _, body = opened.recv(4096).partition(b"\r\n\r\n")
    return (body or opened.recv(4096)).decode().strip() if head else ""


def _take(lab: Lab, path: Path, command: Sequence[str], seconds: float | None = None) -> None:
    """Run `glbctl` with a command on the first director, and draw its terminal after some seconds, or at its end."""
    screen = pyte.Screen(_COLUMNS, _LINES)
    environment = {**lab.env, "TERM": "xterm-256color", "COLUMNS": str(_COLUMNS), "LINES": str(_LINES)}
    for each in _shown_by(argv_in(lab.namespace("director1"), ["glbctl", *command]), environment, seconds):
        pyte.ByteStream(screen).feed(each)
    shown = ["glbctl", *("new.json" if part.endswith(".json") else part for part in command)]
    path.write_text(_drawn(screen, " ".join(shown)))


def _shown_by(argv: Sequence[str], env: dict[str, str], seconds: float | None) -> Iterator[bytes]:
    """What a program writes to its terminal."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (_LINES, _COLUMNS))
    program = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    deadline = time.monotonic() + (seconds or _END_SECONDS)
    try:
        while select.select([ours], [], [], max(deadline - time.monotonic(), 0))[0]:
            try:
                yield os.read(ours, 65536)
            except OSError:  # EIO: the program has ended
                return
    finally:
        program.send_signal(signal.SIGINT)
        os.close(ours)
        program.wait()


def _drawn(screen: pyte.Screen, title: str) -> str:
    """The screen as SVG, without the empty lines at its end."""
    lines = [_line(screen.buffer[number], screen.columns) for number in range(screen.lines)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    console = Console(record=True, width=screen.columns, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    return console.export_svg(title=title)


def _line(row: "dict[int, Char]", columns: int) -> Text:
    line = Text()
    for column in range(columns):
        char = row[column]
        line.append(char.data, _style(char))
    return line


def _style(char: Char) -> Style:
    colour = _BASE_COLOURS.get(char.fg, char.fg)
    return Style(color=colour and _rich(colour), bold=char.bold, italic=char.italics, reverse=char.reverse)


def _rich(colour: str) -> str:
    """pyte names the eight colours, and writes the others in hex."""
    named = colour.removeprefix("bright")
    if named in {"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}:
        return f"bright_{named}" if colour != named else named
    return f"#{colour}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
