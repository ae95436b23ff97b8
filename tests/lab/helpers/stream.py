# SPDX-License-Identifier: MIT
"""Packets from clients without a pause, of which each one is accounted for."""

import threading
from collections.abc import Sequence
from types import TracebackType

from scapy.layers.inet import UDP

from glb.lab import Lab, hosts
from glb.lab.hosts import IPAddress
from tests.lab.helpers.packets import Inner, Sender, Tap, Tunnel, ip_layer, received, wait_for

_BURST = 32
_BOUND_S = 30.0


class Stream:
    """UDP of many clients to both VIPs on some ports, for director1, from entering the `with` block until leaving it.

    A burst is sent once each packet of the one before has left the director, through the tunnel or to its stack: a
    packet that does neither is lost, and leaving the block fails for it.
    """

    def __init__(self, lab: Lab, ports: Sequence[int], clients: int = 64) -> None:
        self.flows = [
            (client, port)
            for number in range(clients)
            for client in (hosts.client_address(4, number), hosts.client_address(6, number))
            for port in ports
        ]
        self._packets = [bytes(_packet(client, port)) for client, port in self.flows]
        self._at_switch = lab.capture("dc", "director1")
        self._at_stack = lab.capture("director1")
        self._tap = Tap(self._at_switch)
        self._sender = Sender(lab)
        self._seen_at_stack = 0
        self._passed: list[Inner] = []
        self._sent = 0
        self._stop = threading.Event()
        self._error: Exception | AssertionError | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Stream":
        self._at_switch.__enter__()
        self._at_stack.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._at_switch.__exit__(kind, error, trace)
        self._at_stack.__exit__(kind, error, trace)
        self._sender.__exit__()
        if self._error is not None and kind is None:
            raise self._error

    @property
    def tunnelled(self) -> list[Tunnel]:
        """All that went through the tunnel, in order. To be read after the block."""
        return self._tap.tunnels()

    @property
    def passed(self) -> list[Inner]:
        """All that was left to the director's stack, in order. To be read after the block."""
        return self._passed

    def wait_for_rounds(self, rounds: int) -> None:
        """Until each flow has been sent so many times more."""
        wanted = self._sent + rounds * len(self._packets)
        wait_for(lambda: self._sent >= wanted or self._error, f"{rounds} rounds of packets", _BOUND_S)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for start in range(0, len(self._packets), _BURST):
                    self._send(self._packets[start : start + _BURST])
        except (Exception, AssertionError) as error:
            self._error = error

    def _send(self, burst: Sequence[bytes]) -> None:
        for packet in burst:
            self._sender.send(packet)
        wanted = self._sent + len(burst)
        wait_for(lambda: self._accounted() >= wanted, f"packet {wanted} leaves the director")
        self._sent = wanted

    def _accounted(self) -> int:
        frames = self._at_stack.frames()
        vips = (hosts.VIP4, hosts.VIP6)
        self._passed += [inner for inner in received(frames[self._seen_at_stack :]) if inner.destination in vips]
        self._seen_at_stack = len(frames)
        return len(self._tap.tunnels()) + len(self._passed)


def _packet(client: IPAddress, port: int) -> bytes:
    return bytes(ip_layer(client, hosts.vip_for(client)) / UDP(sport=4711, dport=port))
