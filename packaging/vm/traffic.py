# SPDX-License-Identifier: MIT
"""Numbered datagrams to the VIP, each of which a server sends back, and one TCP connection beside them.

usage: traffic.py serve | send FILE. `send` runs until SIGTERM, and then writes FILE:
{"sent": ..., "lost": ..., "slowest_ms": ..., "cut": [...]}. Datagrams come from many ports, so that they pass both
directors.
"""

import json
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

VIP, PORT = "203.0.113.10", 80
SOCKETS = 16
PER_SECOND = 100
LINGER_SECONDS = 3.0


def serve() -> None:
    """Echo datagrams and streams, for good."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((VIP, PORT))
    listener = socket.create_server((VIP, PORT))
    threading.Thread(target=_echo_streams, args=(listener,), daemon=True).start()
    while True:
        data, peer = datagrams.recvfrom(2048)
        datagrams.sendto(data, peer)


def _echo_streams(listener: socket.socket) -> None:
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=_echo_stream, args=(stream,), daemon=True).start()


def _echo_stream(stream: socket.socket) -> None:
    with suppress(ConnectionError):
        while data := stream.recv(2048):
            stream.sendall(data)


def send(result: Path) -> None:
    """Send until SIGTERM, then wait for what is still to come, and write the result."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    cut: list[str] = []
    stream = threading.Thread(target=_hold_stream, args=(stopped, cut))
    stream.start()
    waiting, sent, slowest = {}, 0, 0.0
    selector = selectors.DefaultSelector()
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
    for one in sockets:
        one.connect((VIP, PORT))
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
    end, due = None, time.monotonic()
    while end is None or (waiting and time.monotonic() < end):
        now = time.monotonic()
        if stopped.is_set() and end is None:
            end = now + LINGER_SECONDS
        if end is None and now >= due:
            due = max(due + 1 / PER_SECOND, now - 0.1)
            with suppress(OSError):  # an ICMP error about an earlier one; this one counts as lost, too
                sockets[sent % SOCKETS].send(b"%d" % sent)
            waiting[sent] = now
            sent += 1
        for key, _ in selector.select(max(0.0, due - time.monotonic()) if end is None else 0.1):
            try:
                number = int(key.fileobj.recv(2048))  # type: ignore[union-attr]
            except OSError:
                continue
            slowest = max(slowest, time.monotonic() - waiting.pop(number, time.monotonic()))
    stream.join()
    result.write_text(json.dumps({"sent": sent, "lost": len(waiting), "slowest_ms": round(slowest * 1000), "cut": cut}))


def _hold_stream(stopped: threading.Event, cut: list[str]) -> None:
    """One connection, a small message each 50 ms."""
    try:
        with socket.create_connection((VIP, PORT), timeout=30) as stream:
            while not stopped.wait(0.05):
                stream.sendall(b"x")
                if not stream.recv(16):
                    raise ConnectionError("closed by the server")
    except OSError as error:
        cut.append(repr(error))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        send(Path(sys.argv[2]))
