# SPDX-License-Identifier: MIT
"""Checks of real servers on this host: what each finds, and what it makes of it."""

import asyncio
import errno
import json
import os
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from aiohttp import web

from glb.config.health import DEFAULT_STATUSES
from glb.config.model import ForwardingTables
from glb.config.parse import parse_tables
from glb.health.check_plan import Check, CheckKind
from glb.health.checker import Checker
from glb.health.monitor import Monitor
from glb.health.result import Result, failure
from glb.health.state import SavedState
from tests.unit import sources

HERE = IPv4Address("127.0.0.1")
Handler = Callable[[web.Request], Awaitable[web.Response]]


def http(port: int, **changes: object) -> Check:
    return replace(Check(CheckKind.HTTP, HERE, port, statuses=DEFAULT_STATUSES), **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a web server."""
    runner = web.ServerRunner(web.Server(handler))  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, str(HERE), 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def run_check(check: Check) -> Result:
    checker = Checker(HERE)
    try:
        return await checker.run(check)
    finally:
        await checker.close()


def answering(status: int) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    return answer


def result_of(handler: Handler, **changes: object) -> Result:
    async def run() -> Result:
        async with served(handler) as port:
            return await run_check(http(port, **changes))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "statuses", "passed"),
    [
        (200, DEFAULT_STATUSES, True),
        (302, DEFAULT_STATUSES, True),
        (404, DEFAULT_STATUSES, False),
        (503, DEFAULT_STATUSES, False),
        (302, ((200, 299),), False),
        (401, ((200, 299), (401, 401)), True),
    ],
)
def test_only_configured_statuses_pass_and_redirects_do_not(
    status: int, statuses: tuple[tuple[int, int], ...], passed: bool
) -> None:
    assert result_of(answering(status), statuses=statuses) == Result(passed, f"status {status}")


def test_path_and_host_are_sent_as_configured() -> None:
    requests = []

    async def note(request: web.Request) -> web.Response:
        requests.append((request.method, request.raw_path, request.headers["Host"]))
        return web.Response()

    result_of(note, uri="/up?deep=%2F1", host="www.example.com:8080")

    assert requests == [("GET", "/up?deep=%2F1", "www.example.com:8080")]


async def listening(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> asyncio.Server:
    return await asyncio.start_server(serve, str(HERE), 0)


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: bytes) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(greeting)
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (_close, "closed without an answer"),
        (partial(_chatter, greeting=b"220 ready for mail\r\n\r\n"), "no HTTP"),
        (partial(_chatter, greeting=b"\x1b[2J" + b"x" * 5000 + b"\n\n"), "no HTTP"),
    ],
    ids=["closes", "is not HTTP", "is long and has control characters"],
)
def test_an_invalid_answer_is_reported(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], expected: str
) -> None:
    async def run() -> Result:
        async with await listening(serve) as server:
            return await run_check(http(server.sockets[0].getsockname()[1]))

    result = asyncio.run(run())

    assert not result.passed
    assert result.found.startswith(expected)
    assert len(result.found) <= 80
    assert result.found.isprintable()


@pytest.mark.parametrize("kind", [CheckKind.TCP, CheckKind.HTTP])
def test_a_closed_port_refuses(kind: CheckKind) -> None:
    with socket.socket() as reserved:
        reserved.bind((str(HERE), 0))
        port = reserved.getsockname()[1]

        assert asyncio.run(run_check(http(port, kind=kind))) == Result(False, "refused")


def test_a_port_that_listens_connects() -> None:
    with socket.create_server((str(HERE), 0)) as server:
        result = asyncio.run(run_check(Check(CheckKind.TCP, HERE, server.getsockname()[1])))

    assert result == Result(True, "connects")


def test_no_connection_of_a_check_lingers() -> None:
    """Neither side has a socket in TIME-WAIT afterwards."""

    async def run() -> int:
        async with served(answering(200)) as port:
            await run_check(http(port))
            await run_check(Check(CheckKind.TCP, HERE, port))
            return port

    port = f":{asyncio.run(run()):04X}"
    sockets = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]

    assert [entry for entry in sockets if port in entry[0] + entry[1] and entry[2] == "06"] == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Signed by itself, so it is not trusted."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subject = ("-subj", "/CN=www.example.com", "-days", "1")
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    subprocess.run([*new, "-keyout", str(key), "-out", str(cert), *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.parametrize(
    ("verify", "expected"),
    [(False, Result(True, "status 204")), (True, Result(False, "certificate: self-signed certificate"))],
    ids=["any will do", "it must be good"],
)
def test_https_verifies_the_certificate_if_configured(
    certificate: ssl.SSLContext, verify: bool, expected: Result
) -> None:
    names = []
    certificate.sni_callback = lambda _socket, name, _context: names.append(name)

    async def run() -> Result:
        async with served(answering(204), certificate) as port:
            return await run_check(http(port, kind=CheckKind.HTTPS, verify=verify, host="www.example.com:8443"))

    assert asyncio.run(run()) == expected
    assert names == ["www.example.com"]


def test_missing_tls_is_reported() -> None:
    assert result_of(answering(200), kind=CheckKind.HTTPS).found.startswith("TLS: ")


def why_not(check: Check, source: str = "127.0.0.1") -> str | None:
    async def run() -> str | None:
        checker = Checker(IPv4Address(source))
        try:
            return (await checker.prepare(tunnel=False))(check)
        finally:
            await checker.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("check", "source", "expected"),
    [
        (Check(CheckKind.GUE, HERE, 19523), "127.0.0.1", None),
        (Check(CheckKind.GUE, HERE, 19523), "192.0.2.9", "192.0.2.9 (outbound_src_ip) is not an address of this host"),
        (Check(CheckKind.TCP, HERE, 80), "192.0.2.9", None),
        (
            Check(CheckKind.VIP_TCP, HERE, 80, ip_address("127.0.0.1")),
            "127.0.0.1",
            "127.0.0.1 is local to this host (`ip route get 127.0.0.1`), so the packets would not leave it",
        ),
    ],
)
def test_checks_that_this_host_cannot_make_are_reported(check: Check, source: str, expected: str | None) -> None:
    assert why_not(check, source) == expected


def test_a_timeout_does_not_count_if_the_daemon_was_busy() -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def run() -> tuple[bool, bool]:
        monitor = Monitor(SavedState())
        async with await listening(hang) as server:
            await monitor.follow([hanging(server.sockets[0].getsockname()[1])], HERE)
            while monitor.not_counted < 5:
                time.sleep(0.15)  # busy with something else
                await asyncio.sleep(0)
            up_while_busy = is_up(monitor)
            while is_up(monitor):
                await asyncio.sleep(0.01)
            await monitor.close()
        return up_while_busy, is_up(monitor)

    assert asyncio.run(asyncio.wait_for(run(), 30)) == (True, False)


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_without_descriptors_no_check_counts(kind: str) -> None:
    """A check that needs one cannot be made; the backend stays as it was, and recovers its checks with them."""

    async def run() -> tuple[bool, str | None, str | None]:
        monitor = Monitor(SavedState())
        async with served(answering(200)) as port:
            await monitor.follow([hanging(port, kind)], HERE)
            with no_descriptors():
                while monitor.not_counted < 10:
                    await asyncio.sleep(0.01)
                while_short = is_up(monitor), monitor.local_fault
            while monitor.local_fault is not None:
                await asyncio.sleep(0.01)
            await monitor.close()
        return *while_short, monitor.local_fault

    up, want, afterwards = asyncio.run(asyncio.wait_for(run(), 30))
    assert up
    assert want is not None
    assert "no file descriptor left" in want
    assert afterwards is None


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process may open no file more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "number",
    [
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        errno.EPERM,
        errno.EACCES,
    ],
    ids=errno.errorcode.get,
)
def test_a_fault_of_this_host_does_not_count(number: int) -> None:
    assert not failure(OSError(number, os.strerror(number))).counts
    assert failure(OSError(errno.ECONNREFUSED, "")).counts


def hanging(port: int, kind: str = "http") -> ForwardingTables:
    """One backend that is taken for up until it has failed three times."""
    checks = {kind: port, "interval_ms": 100, "timeout_ms": 100, "fall": 3, "initial": "up"}
    source = sources.tables()
    source["tables"] = source["tables"][:1]
    source["tables"][0]["backends"] = [{"ip": str(HERE), "state": "active", "healthchecks": checks}]
    return parse_tables(json.dumps(source), "ft.json")


def is_up(monitor: Monitor) -> bool:
    [health] = monitor.state.checks.values()
    return health.state.up
