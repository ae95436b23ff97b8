# SPDX-License-Identifier: MIT
"""Makes single checks. Each check opens a new connection, and ends it with a reset.

A reset leaves no socket in TIME-WAIT: neither at the backend nor on a busy director, whose ports would run out.
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
from glb.health.check_plan import Check, CheckKind, WhyNot
from glb.health.echo import Echoes
from glb.health.http_check import get_status, request_for
from glb.health.result import Result, failure, short
from glb.health.vip_tunnel import VipTunnel
from glb.network.interface import local_addresses
from glb.network.routes import is_local
from glb.network.rtnetlink import open_rtnetlink

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_DISCARD_PORT = 9
_CONNECTS = Result(True, "connects")

_current: ContextVar[Check] = ContextVar("current")
"""The check of the running task. aiohttp's socket factory does not receive it."""


class Checker:
    """Makes checks from the director's own address, `source`."""

    def __init__(self, source: IPv4Address) -> None:
        self.source = source
        self.mtu: int | None = None
        """The configured maximum size of a tunnelled packet in bytes, to which a larger `gue_size` is reduced."""
        self._echoes: Echoes | None = None
        self._tunnel: VipTunnel | None = None
        self._http: aiohttp.ClientSession | None = None
        self._methods: dict[CheckKind, Callable[[Check], Awaitable[Result]]] = {
            CheckKind.GUE: self._check_gue,
            CheckKind.GUE_SIZE: self._check_gue,
            CheckKind.TCP: self._check_tcp,
            CheckKind.VIP_TCP: self._check_tcp,
            CheckKind.HTTP: self._check_http,
            CheckKind.HTTPS: self._check_https,
            CheckKind.VIP_HTTP: self._check_http,
        }

    async def prepare(self, tunnel: bool) -> WhyNot:
        """Read this host's addresses, and set up the tunnel to the VIPs if it is needed.

        Returns a function that returns why a check cannot be made on this host.
        """
        here = await asyncio.to_thread(local_addresses)
        refused = await self._open_tunnel() if tunnel and self.source in here else None

        @functools.cache
        def why_not_through_tunnel(vip: Address | None) -> str | None:
            if self.source not in here:
                return f"{self.source} (outbound_src_ip) is not an address of this host"
            if vip is None:
                return None
            if _is_local(vip):
                return f"{vip} is local to this host (`ip route get {vip}`), so the packets would not leave it"
            if self._source_for(vip) is None:
                return f"this host has no route to {vip}"
            return refused

        def why_not(check: Check) -> str | None:
            tunnelled = check.kind in (CheckKind.GUE, CheckKind.GUE_SIZE) or check.vip is not None
            return why_not_through_tunnel(check.vip) if tunnelled else None

        return why_not

    async def run(self, check: Check) -> Result:
        """Make a check. The caller sets the time limit. An error of the network is a result as well."""
        try:
            return await self._methods[check.kind](check)
        except (OSError, MemoryError, aiohttp.ClientError) as error:
            return _failure(error)

    async def why_lost(self, check: Check, since: float) -> Result | None:
        """Why the packets of a failed check may not have left this host; None if they probably have.

        since: the start of the check, by time.monotonic(). The result does not count against the backend.
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
        """The reason if the tunnel cannot be set up, otherwise None."""
        if self._tunnel is None:
            try:
                self._tunnel = await VipTunnel.open(self.source)
            except (HealthError, OSError) as error:
                return str(error)
        return None

    async def _check_gue(self, check: Check) -> Result:
        assert isinstance(check.address, IPv4Address)  # a director refuses backends of IPv6
        if self._echoes is None:
            self._echoes = Echoes(self.source)
        size = check.size if check.size is None or self.mtu is None else min(check.size, self.mtu)
        return await self._echoes.ping(check.address, check.port, size)

    async def _check_tcp(self, check: Check) -> Result:
        with self._new_socket(check) as connection:
            await asyncio.get_running_loop().sock_connect(connection, (str(check.target), check.port))
        return _CONNECTS

    async def _check_http(self, check: Check) -> Result:
        with self._new_socket(check) as connection:
            await asyncio.get_running_loop().sock_connect(connection, (str(check.target), check.port))
            request = request_for(check.target, check.port, check.uri, check.host)
            status = await get_status(connection, request)
        return status if isinstance(status, Result) else _judge_status(status, check)

    async def _check_https(self, check: Check) -> Result:
        if self._http is None:
            self._http = self._new_session()
        _current.set(check)
        async with self._http.get(
            _url(check),
            headers={} if check.host is None else {"Host": check.host},
            allow_redirects=False,
            ssl=check.verify,
            server_hostname=_name_of(check.host) if check.host else None,
        ) as response:
            return _judge_status(response.status, check)

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=self._socket_for_aiohttp),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": "glb-health"},
        )

    def _socket_for_aiohttp(self, _: Any) -> socket.socket:
        return self._new_socket(_current.get())

    def _new_socket(self, check: Check) -> socket.socket:
        connection = socket.socket(_FAMILY[check.target.version], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            if check.vip is not None:
                self._route_through_tunnel(connection, check.vip, check.address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _route_through_tunnel(self, connection: socket.socket, vip: Address, backend: Address) -> None:
        source = self._source_for(vip)
        if self._tunnel is None or source is None:
            raise OSError(f"this host no longer has a route to {vip}")
        self._tunnel.prepare(connection, vip, source, backend)

    def _source_for(self, vip: Address) -> Address | None:
        """The address of this host from which to connect to a VIP; None if there is none of its family."""
        if vip.version == 4:
            return self.source
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as route:
            try:
                route.connect((str(vip), _DISCARD_PORT))  # sends no packet, but selects a source address
            except OSError:
                return None
            return ip_address(route.getsockname()[0])


def _is_local(address: Address) -> bool:
    with open_rtnetlink() as netlink:
        return is_local(netlink, address)


def _judge_status(status: int, check: Check) -> Result:
    return Result(any(first <= status <= last for first, last in check.statuses), f"status {status}")


def _url(check: Check) -> URL:
    host = f"[{check.target}]" if check.target.version == 6 else str(check.target)
    return URL(f"https://{host}:{check.port}{check.uri}", encoded=True)


def _name_of(host: str) -> str:
    """A Host header without its port."""
    return host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]


def _failure(error: Exception) -> Result:
    """The result for an error of aiohttp, which wraps errors of the system; other errors concern the answer itself."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return failure(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return failure(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Result(False, "closed without an answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return Result(False, short(f"no HTTP: {error.message}"))
    return failure(error)
