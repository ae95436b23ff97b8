# SPDX-License-Identifier: MIT
"""What a server on a socket endures: idle, slow, many, foreign and malformed requests, and the lack of descriptors."""

import asyncio
import json
import logging
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from glb.control.api import Api, InBackground
from glb.control.connection_limits import ConnectionLimits
from glb.control.routes import ApiRouter, RawResponse
from glb.control.server import serve_on

LARGE = 32 << 20
router = ApiRouter("test", prefix="")
API = Api("test", "", router.routes, failed=409)
GET = b"GET /small HTTP/1.1\r\nHost: test\r\n\r\n"


class Body(BaseModel):
    """A body with one field."""

    name: str = Field(max_length=8)


@router.get("/small")
async def small() -> str:
    """A short answer."""
    return "small"


@router.get("/large")
async def large() -> RawResponse:
    return RawResponse(bytes(LARGE), "application/octet-stream")


@router.get("/fault")
async def fault() -> str:
    raise LookupError("nobody thought of this")


@router.get("/slow")
async def slow(costly: InBackground) -> str:
    await costly(lambda: time.sleep(0.1))
    return "slow"


@router.post("/named/{number}")
async def named(number: int, body: Body, times: Annotated[int, Field(le=3)] = 1) -> str:
    return body.name * times * number


class Connection:
    """A client's connection, from any loopback address."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes = GET) -> tuple[int, str]:
        """The answer's status, and its body."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1]), (await self.reader.read()).decode()

    async def is_closed(self, seconds: float = 20) -> bool:
        """Whether the server ends the connection within the time, without having sent anything."""
        try:
            return await asyncio.wait_for(self.reader.read(1), seconds) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


Connect = Callable[..., Awaitable[Connection]]


def serving(
    scenario: Callable[[Connect], Awaitable[None]], limits: ConnectionLimits, sources: tuple[IPv4Network, ...] = ()
) -> None:
    """Run a scenario with a server."""

    async def run() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        async def connect(source: str = "127.0.0.1") -> Connection:
            return Connection(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))

        stop = asyncio.Event()
        server = asyncio.create_task(serve_on(API, [listener], stop, limits, sources))
        try:
            await scenario(connect)
        finally:
            stop.set()
            await server

    asyncio.run(run())


def test_idle_connections_do_not_lock_out_others() -> None:
    async def scenario(connect: Connect) -> None:
        other = await connect("127.0.0.2")
        idle = [await connect() for _ in range(200)]
        assert await (await connect()).ask() == (200, '"small"')
        assert await (await connect("127.0.0.3")).ask() == (200, '"small"')
        assert await other.ask() == (200, '"small"')
        assert await idle[0].is_closed()

    serving(scenario, ConnectionLimits(connections=16, per_source=8))


def test_many_sources_do_not_lock_out_others() -> None:
    async def scenario(connect: Connect) -> None:
        for number in range(1, 100):
            await connect(f"127.0.1.{number}")
        assert await (await connect("127.0.0.2")).ask() == (200, '"small"')

    serving(scenario, ConnectionLimits(connections=16, per_source=8))


@pytest.mark.parametrize("request_", [GET, b"POST /named/1 HTTP/1.1\r\nContent-Length: 100\r\n\r\n{" + b" " * 99])
def test_a_request_that_trickles_in_has_an_end(request_: bytes) -> None:
    async def scenario(connect: Connect) -> None:
        slow = await connect()
        closed = asyncio.create_task(slow.is_closed())
        for byte in request_:
            slow.writer.write(bytes([byte]))
            await asyncio.wait([closed], timeout=0.2)
            if closed.done():
                break
        assert await closed

    serving(scenario, ConnectionLimits(request_seconds=1))


def test_who_does_not_read_the_answer_is_left() -> None:
    async def scenario(connect: Connect) -> None:
        slow = await connect()
        slow.writer.write(GET.replace(b"small", b"large"))
        await asyncio.sleep(2.5)
        assert await (await connect()).ask() == (200, '"small"')
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await slow.reader.readexactly(LARGE)

    serving(scenario, ConnectionLimits(answer_seconds=0.5))


def test_a_foreign_source_is_refused_before_it_has_sent_anything() -> None:
    async def scenario(connect: Connect) -> None:
        assert await (await connect("127.0.0.9")).is_closed()
        assert await (await connect("127.0.0.2")).ask() == (200, '"small"')

    serving(scenario, ConnectionLimits(), (IPv4Network("127.0.0.0/30"),))


def test_a_connection_ends_with_its_answer() -> None:
    async def scenario(connect: Connect) -> None:
        status, body = await (await connect()).ask(GET * 3)
        assert (status, body) == (200, '"small"')

    serving(scenario, ConnectionLimits())


def test_without_descriptors_the_server_waits_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(connect: Connect) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        address = (await connect()).writer.get_extra_info("peername")
        highest = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
        fillers = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            while True:
                try:
                    fillers.append(os.dup(0))
                except OSError:
                    break
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, address)
            began = time.process_time()
            await asyncio.sleep(2)
            assert time.process_time() - began < 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                os.close(filler)
        with client:
            await asyncio.get_running_loop().sock_sendall(client, GET)
            assert (await asyncio.get_running_loop().sock_recv(client, 100)).startswith(b"HTTP/1.1 200")

    with caplog.at_level(logging.INFO):
        serving(scenario, ConnectionLimits())

    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ["[Errno 24] Too many open files"]


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_malformed_requests_leave_nothing_in_the_log(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(connect: Connect) -> None:
        status, _ = await (await connect()).ask(request_)
        assert status == 400

    with caplog.at_level(logging.DEBUG):
        serving(scenario, ConnectionLimits())

    assert not [record for record in caplog.records if record.name != "asyncio"]


def post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (GET.replace(b"small", b"none"), 404, "Not Found"),
        (GET.replace(b"GET", b"DELETE"), 405, "Method Not Allowed"),
        (post("/named/1", b"x" * 3000), 413, "Request Entity Too Large: at most 2000 bytes"),
        (post("/named/1", b""), 422, "a JSON object is required in the body of the request"),
        (post("/named/1", b'{"name": "far too long"}'), 422, "name: String should have at most 8 characters"),
        (
            post("/named/one?times=9", b"{}"),
            422,
            "number: Input should be a valid integer, unable to parse string as an integer\n"
            "name: Field required\n"
            "times: Input should be less than or equal to 3",
        ),
        (GET.replace(b"small", b"fault"), 500, "internal error: LookupError('nobody thought of this')"),
    ],
)
def test_refusals_are_json_with_a_reason(request_: bytes, status: int, detail: str) -> None:
    async def scenario(connect: Connect) -> None:
        found, body = await (await connect()).ask(request_)
        assert (found, json.loads(body)) == (status, {"detail": detail})

    serving(scenario, ConnectionLimits(body_bytes=2000))


def test_a_fault_is_logged_but_not_as_often_as_it_is_caused(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(connect: Connect) -> None:
        for _ in range(5):
            await (await connect()).ask(GET.replace(b"small", b"fault"))

    with caplog.at_level(logging.INFO):
        serving(scenario, ConnectionLimits())

    assert [record.getMessage() for record in caplog.records] == ["test: a request failed"]


def test_inputs_are_read_from_path_query_and_body() -> None:
    async def scenario(connect: Connect) -> None:
        assert await (await connect()).ask(post("/named/2?times=2", b'{"name": "ab"}')) == (200, '"abababab"')

    serving(scenario, ConnectionLimits())


def test_costly_requests_are_answered_in_turn_between_sources() -> None:
    async def scenario(connect: Connect) -> None:
        async def ask(source: str) -> str:
            await (await connect(source)).ask(GET.replace(b"small", b"slow"))
            return source

        crowd = [asyncio.create_task(ask("127.0.0.1")) for _ in range(6)]
        await asyncio.sleep(0.05)
        single = asyncio.create_task(ask("127.0.0.2"))
        await asyncio.wait([single])
        assert sum(task.done() for task in crowd) <= 2
        for task in crowd:
            await task

    serving(scenario, ConnectionLimits())
