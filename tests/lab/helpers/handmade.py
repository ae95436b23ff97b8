# SPDX-License-Identifier: MIT
"""A TCP client made by hand, so that a test decides which segment goes out when.

Its address is one that the client's kernel drops packets for, so that nothing but the test answers: no RST, no ACK.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl import rt_type
from scapy.layers.inet import TCP
from scapy.packet import Packet

from glb.lab import Lab, hosts
from glb.lab.capture import FrameCapture, LabFrame
from glb.lab.hosts import IPAddress
from tests.lab.helpers.packets import Inner, Sender, endpoint, inner_of, ip_layer, wait_for
from tests.lab.helpers.sockets import client_sockets

_LOCAL_TABLE = 255
_MASK = 0xFFFFFFFF
_START = 1000  # a client's first sequence number


@contextmanager
def silenced(lab: Lab, client: IPAddress) -> Iterator[None]:
    """For the time of the block, the client's kernel drops what comes for the address."""

    def change(verb: str) -> None:
        with IPRoute() as ip:
            ip.route(
                verb,
                dst=f"{client}/{client.max_prefixlen}",
                type=rt_type["blackhole"],
                table=_LOCAL_TABLE,
            )

    lab.within("client", lambda: change("add"))
    try:
        yield
    finally:
        lab.within("client", lambda: change("del"))


class Connection:
    """One side of a TCP connection to the VIP's web server."""

    def __init__(self, client: IPAddress, port: int, mss: int, sender: Sender, capture: FrameCapture) -> None:
        self.client = client
        self.vip = hosts.vip_for(client)
        self.port = port
        self.sent = _START
        """The next sequence number to send."""
        self.peer_start = 0
        """The server's first sequence number of data."""
        self._mss = mss
        self._sender = sender
        self._capture = capture

    @property
    def flow(self) -> tuple[str, str]:
        return endpoint(self.client, self.port), endpoint(self.vip, hosts.HTTP_PORT)

    def send(self, flags: str, payload: bytes = b"", *, seq: int | None = None, ack: int = 0, **fields: object) -> None:
        segment = TCP(
            sport=self.port,
            dport=hosts.HTTP_PORT,
            flags=flags,
            seq=self.sent if seq is None else seq,
            ack=ack,
            window=65535,
            **fields,
        )
        self._sender.send(ip_layer(self.client, self.vip) / segment / payload)

    def send_syn(self) -> None:
        self.repeat_syn()
        self.sent += 1

    def repeat_syn(self) -> None:
        """The same as before, as if no answer had come."""
        self.send("S", seq=_START, options=[("MSS", self._mss)])

    def start_again(self) -> int:
        """Open a new connection with the same ports; returns the number that the old one had come to."""
        old, self.sent = self.sent, self.sent + 1_000_000
        self._capture.forget()
        self.send("S", options=[("MSS", self._mss)])
        self.sent += 1
        self.wait_for_syn_ack()
        self.acknowledge()
        return old

    def give_up_half_open(self) -> None:
        """Reset the connection where the packet's first proxy holds it half-open."""
        self.send("R", seq=_START + 1)

    def wait_for_syn_ack(self) -> None:
        segment = self.wait_for(lambda tcp: tcp.flags == "SA")
        self.peer_start = (segment.seq + 1) & _MASK

    def acknowledge(self) -> None:
        """All that the server has sent in order so far."""
        self.send("A", ack=self.expected)

    def request(self, target: str) -> None:
        """An HTTP request at whose end the server closes the connection first."""
        head = f"GET {target} HTTP/1.0\r\n\r\n".encode()
        self.send("PA", head, ack=self.expected)
        self.sent += len(head)

    def open(self) -> None:
        self.send_syn()
        self.wait_for_syn_ack()
        self.acknowledge()

    def wait_for(self, wanted: Callable[[Packet], bool]) -> Packet:
        """The first segment of the server that is wanted, also one that came already."""
        found: list[Packet] = []

        def matches(frame: LabFrame) -> bool:
            segment = self._segment(frame)
            if segment is None or not wanted(segment):
                return False
            found.append(segment)
            return True

        self._capture.wait_for(matches)
        return found[0]

    def wait_for_text(self, text: bytes) -> None:
        self._capture.wait_for(lambda _: text in self.text())

    def text(self) -> bytes:
        """What the server has sent in order so far."""
        text = b""
        for segment in sorted(self.segments(), key=lambda tcp: (tcp.seq - self.peer_start) & _MASK):
            payload = payload_of(segment)
            offset = (segment.seq - self.peer_start) & _MASK
            if payload and offset <= len(text):
                text = text[:offset] + payload + text[offset + len(payload) :]
        return text

    def segments(self) -> list[Packet]:
        """The server's, so far."""
        found = map(self._segment, self._capture.frames())
        return [segment for segment in found if segment is not None]

    def packets(self) -> list[Inner]:
        """The server's IP packets of this connection so far."""
        packets = (self._packet(frame) for frame in self._capture.frames())
        return [packet for packet in packets if packet is not None]

    @property
    def expected(self) -> int:
        """The server's next sequence number."""
        finished = any(segment.flags.F for segment in self.segments())
        return (self.peer_start + len(self.text()) + finished) & _MASK

    def _packet(self, frame: LabFrame) -> Inner | None:
        if frame.sent or frame.data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
            return None
        packet = inner_of(frame.data[14:])
        if (packet.protocol, packet.destination, packet.destination_port) != (6, self.client, self.port):
            return None
        return packet

    def _segment(self, frame: LabFrame) -> Packet | None:
        packet = self._packet(frame)
        return None if packet is None else segment_of(packet)


def segment_of(packet: Inner) -> Packet:
    """The TCP segment, of an IP packet of its whole length."""
    data = packet.packet
    length = int.from_bytes(data[2:4], "big") if packet.source.version == 4 else 40 + int.from_bytes(data[4:6], "big")
    return TCP(data[len(data) - len(packet.payload) : length])


def payload_of(segment: Packet) -> bytes:
    return bytes(segment)[4 * segment.dataofs :]


@contextmanager
def connection(lab: Lab, client: IPAddress, port: int, mss: int = 1400) -> Iterator[Connection]:
    """A connection that is not opened yet. Afterwards no proxy has a socket of it that could disturb the next test."""
    with silenced(lab, client), lab.capture("client") as capture, Sender(lab) as sender:
        made = Connection(client, port, mss, sender, capture)
        yield made
        made.send("RA", ack=made.expected)
        for proxy in lab.proxies:
            wait_for(lambda proxy=proxy: not states_at(lab, proxy.name, made), f"no socket at {proxy.name}")  # type: ignore[misc]


def states_at(lab: Lab, proxy: str, conn: Connection) -> set[str]:
    """The states, as in /proc/net/tcp, of the sockets that a proxy has for a connection."""
    return {
        state
        for remote, state in client_sockets(lab, proxy, conn.client.version)
        if remote.endswith(f":{conn.port:04X}")
    }
