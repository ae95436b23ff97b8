# SPDX-License-Identifier: MIT
"""Asking: one check, one answer. Every connection is a new one, and is ended by a reset.

The reset leaves no TIME-WAIT behind: not here, where the ports of a busy director would run out, nor at the backend.
"""

import asyncio
import functools
import socket
import struct
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from ipaddress import IPv4Address, ip_address
from typing import Any

import aiohttp
from yarl import URL

from glb.config.model import Address
from glb.errors import HealthError
from glb.health.check import Check, Kind
from glb.health.echo import Echoes
from glb.health.plan import WhyNot
from glb.health.result import Result, failure, short
from glb.health.vip_tunnel import VipTunnel
from glb.network.interface import local_addresses
from glb.network.routes import is_local
from glb.network.rtnetlink import open_rtnetlink

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_DISCARD_PORT = 9
_CONNECTS = Result(True, "connects")

_asked: ContextVar[Check] = ContextVar("asked")
"""The check that the running task asks: aiohttp wants new sockets, and cannot tell for which check."""


class Asker:
    """Asks backends from the director's own address, `source`."""

    def __init__(self, source: IPv4Address) -> None:
        self.source = source
        self.mtu: int | None = None
        """The most bytes of a tunnel's packet that the configuration allows, however large a check is to be."""
        self._echoes: Echoes | None = None
        self._tunnel: VipTunnel | None = None
        self._http: aiohttp.ClientSession | None = None
        self._ways: dict[Kind, Callable[[Check], Awaitable[Result]]] = {
            Kind.GUE: self._ask_gue,
            Kind.GUE_SIZE: self._ask_gue,
            Kind.TCP: self._ask_tcp,
            Kind.VIP_TCP: self._ask_tcp,
            Kind.HTTP: self._ask_http,
            Kind.HTTPS: self._ask_http,
            Kind.VIP_HTTP: self._ask_http,
        }

    async def get_ready(self, tunnel: bool) -> WhyNot:
        """Look around, and set up the way to the VIPs if it is wanted. Returns what tells of impossible checks."""
        here = await asyncio.to_thread(local_addresses)
        refused = await self._open_tunnel() if tunnel and self.source in here else None

        @functools.cache
        def why_not_through_tunnel(vip: Address | None) -> str | None:
            if self.source not in here:
                return f"{self.source} (outbound_src_ip) is not an address of this host"
            if vip is None:
                return None
            if _is_this_hosts(vip):
                return f"{vip} is local to this host (`ip route get {vip}`), which its packets would not leave"
            if self._source_for(vip) is None:
                return f"this host has no way to {vip}"
            return refused

        def why_not(check: Check) -> str | None:
            tunnelled = check.kind in (Kind.GUE, Kind.GUE_SIZE) or check.vip is not None
            return why_not_through_tunnel(check.vip) if tunnelled else None

        return why_not

    async def ask(self, check: Check) -> Result:
        """What a backend answers; the time limit is the caller's. Errors of the network are answers too."""
        try:
            return await self._ways[check.kind](check)
        except (OSError, MemoryError, aiohttp.ClientError) as error:
            return _failure(error)

    async def why_lost(self, check: Check, since: float) -> Result | None:
        """Why a failed check's packets may not have left this host; None if they have, as far as is known.

        since: the check's begin, by time.monotonic(). A result never counts.
        """
        if self._tunnel is None or check.vip is None:
            return None
        return await self._tunnel.why_lost(check.address, since)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
        if self._echoes is not None:
            self._echoes.close()
        if self._tunnel is not None:
            await self._tunnel.close()

    async def _open_tunnel(self) -> str | None:
        """Why that does not work; None if it does."""
        if self._tunnel is None:
            try:
                self._tunnel = await VipTunnel.open(self.source)
            except (HealthError, OSError) as error:
                return str(error)
        return None

    async def _ask_gue(self, check: Check) -> Result:
        assert isinstance(check.address, IPv4Address)  # a director refuses other backends
        if self._echoes is None:
            self._echoes = Echoes(self.source)
        size = check.size if check.size is None or self.mtu is None else min(check.size, self.mtu)
        return await self._echoes.ask(check.address, check.port, size)

    async def _ask_tcp(self, check: Check) -> Result:
        with self._new_socket(check) as connection:
            await asyncio.get_running_loop().sock_connect(connection, (str(check.target), check.port))
        return _CONNECTS

    async def _ask_http(self, check: Check) -> Result:
        if self._http is None:
            self._http = self._new_session()
        _asked.set(check)
        async with self._http.get(
            _url(check),
            headers={} if check.host is None else {"Host": check.host},
            allow_redirects=False,
            ssl=check.verify,
            server_hostname=_name_of(check.host) if check.kind is Kind.HTTPS and check.host else None,
        ) as answer:
            status = answer.status
        passed = any(first <= status <= last for first, last in check.statuses)
        return Result(passed, f"status {status}")

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=self._socket_for_aiohttp),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": "glb-health"},
        )

    def _socket_for_aiohttp(self, _: Any) -> socket.socket:
        return self._new_socket(_asked.get())

    def _new_socket(self, check: Check) -> socket.socket:
        connection = socket.socket(_FAMILY[check.target.version], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            if check.vip is not None:
                self._lead_through_tunnel(connection, check.vip, check.address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lead_through_tunnel(self, connection: socket.socket, vip: Address, backend: Address) -> None:
        source = self._source_for(vip)
        if self._tunnel is None or source is None:
            raise OSError(f"this host has no way to {vip} any more")
        self._tunnel.prepare(connection, vip, source, backend)

    def _source_for(self, vip: Address) -> Address | None:
        """The address of this host to which a VIP's answers find back; None if there is none of its family."""
        if vip.version == 4:
            return self.source
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as route:
            try:
                route.connect((str(vip), _DISCARD_PORT))  # sends nothing: the kernel only chooses a source
            except OSError:
                return None
            return ip_address(route.getsockname()[0])


def _is_this_hosts(address: Address) -> bool:
    with open_rtnetlink() as netlink:
        return is_local(netlink, address)


def _url(check: Check) -> URL:
    scheme = "https" if check.kind is Kind.HTTPS else "http"
    host = f"[{check.target}]" if check.target.version == 6 else str(check.target)
    return URL(f"{scheme}://{host}:{check.port}{check.uri}", encoded=True)


def _name_of(host: str) -> str:
    """A Host header without the port."""
    return host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]


def _failure(error: Exception) -> Result:
    """aiohttp wraps what the system says; what is not wrapped is about the answer itself."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return failure(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return failure(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Result(False, "closed without an answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return Result(False, short(f"no HTTP: {error.message}"))
    return failure(error)
