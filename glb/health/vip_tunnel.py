# SPDX-License-Identifier: MIT
"""The tunnel of checks: connections to a VIP whose packets go to one chosen backend, on the path of clients' packets.

The kernel has no suitable GUE tunnel. So a socket's firewall mark routes its packets into a TUN device. This process
reads them there, and sends each through the tunnel to the backend that belongs to its source port. The replies come
directly to the director's own address, as a client's replies do.

The device glbhcN has the mark and the routing table MARK + N, and one rule for each IP family: packets with the mark
use that table. The first three bytes of MARK spell "glb", the last leaves room for 256 devices. Only this file knows
the numbers.

Any backend could answer a check whose packets leave this host by another route. So the packets have TTL 1 until they
are in the tunnel, and device, rules and routes are verified continuously.
"""

import asyncio
import errno
import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from glb.config.model import Address
from glb.errors import HealthError
from glb.health.gue import GUE_PORT, source_port, tunnelled, with_usual_ttl
from glb.health.result import Result, failure

log = logging.getLogger(__name__)

DEVICE = "glbhc"
MARK = 0x676C6200
_MAX_DEVICES = 256
_PRIORITY = 19523
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFF_TUN_EXCL = 0x8000
_MTU = 1280  # the minimum of IPv6; packets of checks are small, and replies do not pass the device
_PACKETS_AT_ONCE = 64  # then other tasks run
_VERIFY_SECONDS = 2.0
_TTL_ONE = {4: (socket.IPPROTO_IP, socket.IP_TTL, 1), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)}


class VipTunnel:
    """Sends the packets of prepared sockets through the tunnel, each to its backend. Created by `open`."""

    def __init__(self, device: int, number: int, out: socket.socket) -> None:
        self._device: int | None = None
        self._number = number
        self._out = out
        self._backends: dict[tuple[int, int], Address] = {}
        self._latest_vips: dict[int, Address] = {}  # by IP version
        self._problem = ""
        self._lost: dict[Address, tuple[float, OSError]] = {}
        self._verified_at = 0.0
        self._lock = asyncio.Lock()
        self._attach(device)
        self._repairing = asyncio.create_task(self._repair_continuously())

    @classmethod
    async def open(cls, source: IPv4Address) -> "VipTunnel":
        """source: the director's own address. Raises HealthError, which says what the kernel refuses."""
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            out.bind((str(source), 0))
            device, number = await asyncio.to_thread(_set_up_device)
        except BaseException:
            out.close()
            raise
        return cls(device, number, out)

    def prepare(self, connection: socket.socket, vip: Address, source: Address, backend: Address) -> None:
        """Make a socket that will connect to the VIP reach the backend, with replies to `source`. Raises OSError."""
        self._latest_vips[vip.version] = vip
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _mark(self._number))
        connection.setsockopt(*_TTL_ONE[source.version])
        connection.bind((str(source), 0))
        self._backends[source.version, connection.getsockname()[1]] = backend

    async def why_lost(self, backend: Address, since: float) -> Result | None:
        """Why packets to a backend may not have left this host through the tunnel; None if they have.

        since: when the first packet was sent, by time.monotonic(). The result does not count against the backend.
        """
        when, error = self._lost.get(backend, (0.0, None))
        if error is not None and when >= since:
            return replace(failure(error), counts=False)
        if self._verified_at >= since:
            return None
        began = time.monotonic()
        if self._device is None or not await self._is_intact():
            return Result(False, f"{DEVICE}{self._number} or its route is missing", counts=False)
        self._verified_at = began
        return None

    async def close(self) -> None:
        async with self._lock:
            self._repairing.cancel()
            self._detach()
            await asyncio.to_thread(_remove_all_rules, self._number)
            self._out.close()

    async def _repair_continuously(self) -> None:
        """Restore the device, its rules and routes if another program removes them. Each fault is logged once."""
        while True:
            await asyncio.sleep(_VERIFY_SECONDS)
            try:
                async with self._lock:
                    await self._repair()
                self._problem = ""
            except (HealthError, OSError, NetlinkError) as error:
                if str(error) != self._problem:
                    log.error("health: checks of VIPs cannot be made until their device is restored: %s", error)
                self._problem = str(error)

    async def _repair(self) -> None:
        if await self._is_intact():
            return
        self._detach()
        device, self._number = await asyncio.to_thread(_set_up_device)
        self._attach(device)
        if not await self._is_intact():
            vips = ", ".join(map(str, self._latest_vips.values()))
            raise HealthError(f"another rule or route matches packets to {vips} with the mark {_mark(self._number):#x}")
        log.warning("health: %s%d restored, after it or its route was removed", DEVICE, self._number)

    async def _is_intact(self) -> bool:
        vips = tuple(self._latest_vips.values())
        return await asyncio.to_thread(_is_routed_into, self._number, f"{DEVICE}{self._number}", vips)

    def _attach(self, device: int) -> None:
        self._device = device
        asyncio.get_running_loop().add_reader(device, self._forward, device)

    def _detach(self) -> None:
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
            except OSError:  # the device was deleted; the next verification finds that
                asyncio.get_running_loop().remove_reader(device)
                return
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        """Packets of no check, such as the kernel's own IPv6 packets, are dropped. TCP repeats what is lost here."""
        flow = source_port(packet)
        backend = self._backends.get(flow) if flow is not None else None
        if backend is None:
            return
        try:
            self._out.sendto(tunnelled(with_usual_ttl(packet)), (str(backend), GUE_PORT))
        except OSError as error:
            self._lost[backend] = time.monotonic(), error


def _mark(number: int) -> int:
    """The SO_MARK of sockets whose packets go into the device of this number."""
    return MARK + number


def _set_up_device() -> tuple[int, int]:
    """The descriptor and the number of a new device; packets with its mark are routed into it."""
    device, number = _new_device()
    name = f"{DEVICE}{number}"
    try:
        with IPRoute() as netlink:
            netlink.link("set", index=socket.if_nametoindex(name), state="up", mtu=_MTU)
        _route_into(number, name)
    except (OSError, NetlinkError) as error:
        os.close(device)
        raise HealthError(f"{name}: VIPs cannot be checked: {error}") from error
    return device, number


def _new_device() -> tuple[int, int]:
    """A device of the first free number. The kernel removes it when its descriptor is closed, also by a kill."""
    try:
        for number in range(_MAX_DEVICES):
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            if _claim(device, number):
                return device, number
            os.close(device)
    except OSError as error:
        raise HealthError(f"/dev/net/tun: VIPs cannot be checked: {error.strerror}") from error
    raise HealthError(f"{DEVICE}0 to {DEVICE}{_MAX_DEVICES - 1} exist already: VIPs cannot be checked")


def _claim(device: int, number: int) -> bool:
    """False if there is a device of this number already, of another daemon or of any other program."""
    request = struct.pack("16sH22x", f"{DEVICE}{number}".encode(), _IFF_TUN | _IFF_NO_PI | _IFF_TUN_EXCL)
    try:
        fcntl.ioctl(device, _TUNSETIFF, request)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EEXIST):
            return False
        os.close(device)
        raise
    return True


def _route_into(number: int, device: str) -> None:
    """Route packets with the number's mark into the device of this name.

    Replaces rules that a killed daemon has left for the number. Raises NetlinkError.
    """
    table = MARK + number
    with IPRoute() as netlink:
        index = socket.if_nametoindex(device)
        for family in _families(netlink):
            _remove_rules(netlink, family, number)
        for family in _families_of(device):
            default = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
            netlink.route("replace", family=family, dst=default, oif=index, table=table)
            netlink.rule("add", family=family, fwmark=_mark(number), table=table, priority=_PRIORITY)


def _is_routed_into(number: int, device: str, vips: Iterable[Address]) -> bool:
    """Whether packets to these VIPs with the number's mark leave by the device of this name.

    Looks up the VIPs themselves: other addresses may have routes or rules of their own on this host.
    """
    with IPRoute() as netlink:
        index = next(iter(netlink.link_lookup(ifname=device)), None)
        return index is not None and all(_egress(netlink, vip, number) == index for vip in vips)


def _remove_all_rules(number: int) -> None:
    """Remove the rules of a number; its routes are removed with the device."""
    with IPRoute() as netlink:
        for family in _families(netlink):
            _remove_rules(netlink, family, number)


def _families(netlink: IPRoute) -> Iterator[socket.AddressFamily]:
    """The IP families that this host's kernel supports."""
    for family in _FAMILIES:
        with suppress(NetlinkError):
            netlink.get_rules(family=family)
            yield family


def _families_of(device: str) -> Iterator[socket.AddressFamily]:
    """The IP families that the device supports: IPv6 may be disabled, for all devices or for this one."""
    yield socket.AF_INET
    with suppress(FileNotFoundError):
        if Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").read_text() == "0\n":
            yield socket.AF_INET6


def _egress(netlink: IPRoute, vip: Address, number: int) -> int | None:
    """The ifindex of the device by which a packet with the mark leaves; None if it cannot leave."""
    family = socket.AF_INET if vip.version == 4 else socket.AF_INET6
    try:
        [route, *_] = netlink.route("get", family=family, dst=str(vip), mark=_mark(number))
    except NetlinkError:
        return None
    index: int | None = route.get("oif")
    return index


def _remove_rules(netlink: IPRoute, family: int, number: int) -> None:
    for rule in netlink.get_rules(family=family):
        if (rule.get("fwmark"), rule.get_attr("FRA_TABLE")) == (_mark(number), MARK + number):
            netlink.rule("del", family=family, fwmark=_mark(number), table=MARK + number, priority=_PRIORITY)
