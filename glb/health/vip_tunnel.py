# SPDX-License-Identifier: MIT
"""The way of a client's packets, for checks: a connection to the VIP whose packets go to one chosen backend.

The kernel has no GUE tunnel that would do. So the connection's packets are led into a TUN device by their socket's
mark, this process reads them there, and sends each through the tunnel to the backend for which its source port stands.
The answers come straight back to the director's own address, as a client's do.

A check that leaves the host by any other way might be answered by any backend. So its packets have a single hop to live
until they are in the tunnel, and the way into it is looked after.
"""

import asyncio
import errno
import fcntl
import logging
import os
import socket
import struct
import time
from dataclasses import replace
from ipaddress import IPv4Address

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.config.model import Address
from glb.errors import HealthError
from glb.health.gue import GUE_PORT, source_port, tunnelled, with_lifetime
from glb.health.policy_routing import MAX_DEVICES, lead_away, lead_into, leads_into, mark
from glb.health.result import Result, failure

log = logging.getLogger(__name__)

DEVICE = "glbhc"
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFF_TUN_EXCL = 0x8000
_MTU = 1280  # what IPv6 needs; a check's packets are small, and the answers do not come this way
_PACKETS_AT_ONCE = 64  # before others get their turn
_LOOK_SECONDS = 2.0
_ONE_HOP = {4: (socket.IPPROTO_IP, socket.IP_TTL, 1), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)}


class VipTunnel:
    """Sends what is written to prepared sockets through the tunnel, each to its backend. Made by `open`."""

    def __init__(self, device: int, number: int, out: socket.socket) -> None:
        self._device: int | None = None
        self._number = number
        self._out = out
        self._backends: dict[tuple[int, int], Address] = {}
        self._latest_vips: dict[int, Address] = {}  # by IP version
        self._problem = ""
        self._lost: dict[Address, tuple[float, OSError]] = {}
        self._whole_at = 0.0
        self._turn = asyncio.Lock()
        self._take(device)
        self._keeping = asyncio.create_task(self._keep_up())

    @classmethod
    async def open(cls, source: IPv4Address) -> "VipTunnel":
        """source: the director's own address. Raises HealthError that says what the kernel refuses."""
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            out.bind((str(source), 0))
            device, number = await asyncio.to_thread(_device_in_use)
        except BaseException:
            out.close()
            raise
        return cls(device, number, out)

    def prepare(self, connection: socket.socket, vip: Address, source: Address, backend: Address) -> None:
        """Let a socket that will be connected to the VIP reach the backend, and the answers come to `source`. Raises
        OSError."""
        self._latest_vips[vip.version] = vip
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark(self._number))
        connection.setsockopt(*_ONE_HOP[source.version])
        connection.bind((str(source), 0))
        self._backends[source.version, connection.getsockname()[1]] = backend

    async def why_lost(self, backend: Address, since: float) -> Result | None:
        """Why packets to a backend may not have left this host by the tunnel; None if they have.

        since: when the first was sent, by time.monotonic(). A result never counts.
        """
        when, error = self._lost.get(backend, (0.0, None))
        if error is not None and when >= since:
            return replace(failure(error), counts=False)
        if self._whole_at >= since:
            return None
        began = time.monotonic()
        if self._device is None or not await self._is_whole():
            return Result(False, f"{DEVICE}{self._number} or the route into it was taken away", counts=False)
        self._whole_at = began
        return None

    async def close(self) -> None:
        async with self._turn:
            self._keeping.cancel()
            self._let_go()
            await asyncio.to_thread(lead_away, self._number)
            self._out.close()

    async def _keep_up(self) -> None:
        """Set up anew what somebody takes away: the device, or its rules and routes. What goes wrong is told once."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                async with self._turn:
                    await self._mend()
                self._problem = ""
            except (HealthError, OSError, NetlinkError) as error:
                if str(error) != self._problem:
                    log.error("health: checks of VIPs fail until they have their device again: %s", error)
                self._problem = str(error)

    async def _mend(self) -> None:
        if await self._is_whole():
            return
        self._let_go()
        device, self._number = await asyncio.to_thread(_device_in_use)
        self._take(device)
        if not await self._is_whole():
            vips = ", ".join(map(str, self._latest_vips.values()))
            raise HealthError(
                f"another rule or route takes packets to {vips} that have the mark {mark(self._number):#x}"
            )
        log.warning("health: %s%d or the way into it was taken away, and is set up anew", DEVICE, self._number)

    async def _is_whole(self) -> bool:
        vips = tuple(self._latest_vips.values())
        return await asyncio.to_thread(leads_into, self._number, f"{DEVICE}{self._number}", vips)

    def _take(self, device: int) -> None:
        self._device = device
        asyncio.get_running_loop().add_reader(device, self._forward, device)

    def _let_go(self) -> None:
        if self._device is not None:
            asyncio.get_running_loop().remove_reader(self._device)
            os.close(self._device)
            self._device = None

    def _forward(self, device: int) -> None:
        for _ in range(_PACKETS_AT_ONCE):
            try:
                packet = os.read(device, 65536)
            except BlockingIOError:
                return
            except OSError:  # somebody has deleted it, which will be seen soon
                asyncio.get_running_loop().remove_reader(device)
                return
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        """Packets of no check, such as IPv6's own of the device, are dropped; what is lost here is sent again."""
        flow = source_port(packet)
        backend = self._backends.get(flow) if flow is not None else None
        if backend is None:
            return
        try:
            self._out.sendto(tunnelled(with_lifetime(packet)), (str(backend), GUE_PORT))
        except OSError as error:
            self._lost[backend] = time.monotonic(), error


def _device_in_use() -> tuple[int, int]:
    """A new device's descriptor and number, with the checks' packets led into it."""
    device, number = _new_device()
    name = f"{DEVICE}{number}"
    try:
        with IPRoute() as netlink:
            netlink.link("set", index=socket.if_nametoindex(name), state="up", mtu=_MTU)
        lead_into(number, name)
    except (OSError, NetlinkError) as error:
        os.close(device)
        raise HealthError(f"{name}: VIPs cannot be checked: {error}") from error
    return device, number


def _new_device() -> tuple[int, int]:
    """With the first free number. The device goes when its descriptor is closed, also by a kill."""
    try:
        for number in range(MAX_DEVICES):
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            if _claim(device, number):
                return device, number
            os.close(device)
    except OSError as error:
        raise HealthError(f"/dev/net/tun: VIPs cannot be checked: {error.strerror}") from error
    raise HealthError(f"{DEVICE}0 to {DEVICE}{MAX_DEVICES - 1} are all there: VIPs cannot be checked")


def _claim(device: int, number: int) -> bool:
    """False if there is a device of this number already, be it another daemon's or anybody's."""
    request = struct.pack("16sH22x", f"{DEVICE}{number}".encode(), _IFF_TUN | _IFF_NO_PI | _IFF_TUN_EXCL)
    try:
        fcntl.ioctl(device, _TUNSETIFF, request)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EEXIST):
            return False
        os.close(device)
        raise
    return True
