# SPDX-License-Identifier: MIT
"""How long new connections go to a backend that has died, and until they do again when it is back.

python -m bench.failover [--rounds N]   as root, in a lab of its own. Not part of script/bench: it takes minutes.
"""

import argparse
import itertools
import json
import random
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from signal import SIGCONT, SIGSTOP
from types import TracebackType
from typing import Any

from pyroute2 import IPRoute

from glb.control.client import Client
from glb.files import replace_file
from glb.health.gue import checksum
from glb.lab import Lab, hosts

_DIRECTOR, _VICTIM = "director1", "proxy1"
_BETWEEN = 0.002  # seconds between two clients' first packets
_QUIET = 1.5  # seconds without any that show that there will be no more
_BOUND = 30.0
_SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "60 ms, 60 ms, 3": {"interval_ms": 60, "timeout_ms": 60, "trigger": 3},
}
_EVERY_PROTOCOL = 3
_INNER = 14 + 20 + 8  # where GUE begins in a frame of the tunnel

Death = Callable[[Lab], None]


class Clients:
    """Ever new clients, each of which sends one SYN to the VIP; and a look at which of them go to the victim."""

    def __init__(self, lab: Lab) -> None:
        self._out = lab.open_socket("client", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._tap = lab.within("dc", _tap)
        self._victim = _ipv4(lab, _VICTIM).packed
        self._sent: dict[int, float] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._look)]
        self.at_victim: list[float] = []
        """When the SYNs that have gone to the victim were sent, by the monotonic clock."""

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._out.close()
        self._tap.close()

    def last_before_quiet(self, since: float) -> float:
        """Seconds from `since` to the last SYN for the victim, once there have been no more for a while."""
        _wait(lambda: time.monotonic() - max([*self.at_victim[-1:], since]) > _QUIET, "the victim gets no SYNs")
        return max(self.at_victim[-1] - since, 0.0)

    def first_after(self, since: float) -> float:
        """Seconds from `since` to the first SYN for the victim after it."""
        _wait(lambda: bool(self.at_victim) and self.at_victim[-1] > since, "the victim gets SYNs again")
        return next(when for when in self.at_victim if when > since) - since

    def _send(self) -> None:
        for number in itertools.count():
            if self._stop.wait(_BETWEEN):
                return
            client = hosts.client_address(4, random.randrange(60_000))
            self._sent[number] = time.monotonic()
            self._out.sendto(_syn(client.packed, number), (str(hosts.VIP4), 0))

    def _look(self) -> None:
        self._tap.settimeout(0.1)
        while not self._stop.is_set():
            try:
                frame = self._tap.recv(2048)
            except TimeoutError:
                continue
            number = self._syn_for_victim(frame)
            if number in self._sent:
                self.at_victim.append(self._sent[number])

    def _syn_for_victim(self, frame: bytes) -> int | None:
        """The sequence number of a client's SYN in a frame that the director sends to the victim."""
        if frame[30:34] != self._victim or frame[36:38] != b"\x4c\x43":
            return None
        inner = frame[_INNER + 4 + 4 * (frame[_INNER] & 0x1F) :]
        if len(inner) < 40 or inner[9] != socket.IPPROTO_TCP or inner[33] != 2 or inner[12:14] != b"\xc6\x12":
            return None
        return int.from_bytes(inner[24:28], "big")


def _tap() -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    tap.bind((_DIRECTOR, _EVERY_PROTOCOL))
    return tap


def _syn(client: bytes, number: int) -> bytes:
    """An IPv4 packet with a SYN, whose sequence number is the number."""
    ends = client + hosts.VIP4.packed
    tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60_000, hosts.HTTP_PORT, number, 0, 0x50, 2, 65535, 0, 0)
    tcp = tcp[:16] + checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + ends + tcp


def _ipv4(lab: Lab, host: str) -> IPv4Address:
    interface = lab.host(host).ipv4
    assert interface is not None
    return interface.ip


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _BOUND
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {_BOUND:.0f} s")
        time.sleep(0.002)


def _signal(lab: Lab, number: Any) -> None:
    lab.process_id(_VICTIM, "nginx").send(number)


def _plug(lab: Lab, state: str) -> None:
    def change() -> None:
        with IPRoute() as netlink:
            netlink.link("set", index=netlink.link_lookup(ifname=_VICTIM)[0], state=state)

    lab.within("dc", change)


def _move_port(lab: Lab) -> None:
    lab.kill(_VICTIM, "nginx")
    lab.start_web_server(_VICTIM, port=8080)


def _move_port_back(lab: Lab) -> None:
    lab.kill(_VICTIM, "nginx")
    lab.start_web_server(_VICTIM)


_DEATHS: dict[str, tuple[Death, Death]] = {
    "process gone": (lambda lab: lab.kill(_VICTIM, "nginx"), lambda lab: lab.start_web_server(_VICTIM)),
    "port refused": (_move_port, _move_port_back),
    "hangs": (lambda lab: _signal(lab, SIGSTOP), lambda lab: _signal(lab, SIGCONT)),
    "off the network": (lambda lab: _plug(lab, "down"), lambda lab: _plug(lab, "up")),
}


@contextmanager
def _lab(name: str, checks: dict[str, Any]) -> Iterator[Lab]:
    with Lab.up(name, owned=True, directors=1) as lab:
        source = json.loads(lab.table_path.read_text()) | {"healthchecks": checks}
        replace_file(lab.table_path, json.dumps(source).encode())
        [outcome] = Client(lab.run_dir / f"{_DIRECTOR}.sock").post("/v1/reload")
        if not outcome["reloaded"]:
            raise RuntimeError(outcome["error"])
        yield lab


def _measure(lab: Lab, rounds: int) -> Iterator[tuple[str, str, list[float]]]:
    """Kind of death, "dies" or "returns", and the seconds of each round."""
    with Clients(lab) as clients:
        for kind, (die, revive) in _DEATHS.items():
            gone, back = [], []
            for _ in range(rounds):
                clients.first_after(time.monotonic())
                time.sleep(random.random() / 2)  # at any moment between two checks
                begun = time.monotonic()
                die(lab)
                gone.append(clients.last_before_quiet(begun))
                begun = time.monotonic()
                revive(lab)
                back.append(clients.first_after(begun))
            yield kind, "dies", gone
            yield kind, "returns", back
        clients.first_after(time.monotonic())
        begun = time.monotonic()
        lab.remove_proxy(_VICTIM)
        yield "namespace gone", "dies", [clients.last_before_quiet(begun)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="deaths and returns of each kind (5)")
    parser.add_argument("--lab", default="failover", help="the lab's name (failover)")
    chosen = parser.parse_args()
    print("| checks | backend | | median, ms | longest, ms |\n| --- | --- | --- | --- | --- |")
    for setting, checks in _SETTINGS.items():
        with _lab(chosen.lab, checks) as lab:
            for kind, what, seconds in _measure(lab, chosen.rounds):
                median, longest = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
                print(f"| {setting} | {kind} | {what} | {median:.0f} | {longest:.0f} |", flush=True)


if __name__ == "__main__":
    main()
