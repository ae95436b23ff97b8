# SPDX-License-Identifier: MIT
"""Capture of frames on an interface of the lab."""

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from glb.errors import LabError
from glb.network.namespaces import within

_EVERY_PROTOCOL = 3
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 256 << 20
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_OUTGOING = 4
_FRAME_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class LabFrame:
    """An Ethernet frame, and whether the interface sent or received it."""

    data: bytes
    sent: bool

    def packet(self) -> Any:
        """The frame as a scapy packet."""
        from scapy.layers.l2 import Ether

        return Ether(self.data)


class FrameCapture:
    """Captures within a `with` block; the kernel buffers frames until they are read.

    Frames that a director or proxy sends by XDP_TX do not pass the taps of its own interface: capture on the bridge
    port with its name, in the namespace `dc`.
    """

    def __init__(self, namespace: str, interface: str) -> None:
        self._namespace = namespace
        self._interface = interface
        self._frames: list[LabFrame] = []

    def __enter__(self) -> "FrameCapture":
        self._socket = within(self._namespace, self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.frames()
        finally:
            self._socket.close()

    def frames(self) -> list[LabFrame]:
        """All frames so far; after the `with` block, all frames.

        Raises LabError if the buffer overflowed.
        """
        while self._socket.fileno() >= 0 and self._receive(within_s=0):
            pass
        return list(self._frames)

    def forget(self) -> None:
        """Discard the frames so far."""
        self.frames()
        self._frames.clear()

    def wait_for(self, wanted: Callable[[LabFrame], bool], bound_s: float = 10.0) -> LabFrame:
        """The first frame for which `wanted` is true, earlier frames included.

        Raises LabError if none arrives in time.
        """
        deadline = time.monotonic() + bound_s
        seen = 0
        while True:
            for frame in self._frames[seen:]:
                if wanted(frame):
                    return frame
            seen = len(self._frames)
            if not self._receive(within_s=max(deadline - time.monotonic(), 0)):
                raise LabError(f"no matching frame on {self._interface} within {bound_s} s")

    def _open(self) -> socket.socket:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        tap.bind((self._interface, _EVERY_PROTOCOL))
        return tap

    def _receive(self, within_s: float) -> bool:
        """Read the next frame from the kernel's buffer. Returns whether one arrived in time."""
        self._socket.settimeout(within_s)
        try:
            data, (_, _, direction, *_) = self._socket.recvfrom(_FRAME_LIMIT)
        except (BlockingIOError, TimeoutError):
            self._check_for_losses()
            return False
        self._frames.append(LabFrame(data, direction == _PACKET_OUTGOING))
        return True

    def _check_for_losses(self) -> None:
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        _, lost = struct.unpack("II", statistics)
        if lost:
            raise LabError(f"the capture on {self._interface} lost {lost} frames")
