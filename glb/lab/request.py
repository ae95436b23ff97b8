# SPDX-License-Identifier: MIT
"""One HTTP request over a new TCP connection, from a given client address, with every byte checked.

Plain asyncio streams: an HTTP library would need a connection pool for each of thousands of addresses.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from glb.lab import web_files
from glb.lab.events import Finished, Opened, RequestOutcome
from glb.lab.hosts import IPAddress

_CONNECT_BOUND_S = 15.0
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """A request and its client address. A `file` is checked by length and SHA-256; without one, `/` is requested."""

    number: int
    client: IPAddress
    server: IPAddress
    port: int
    file: str | None = None
    rate: str = "0"
    stall_bound_s: float = 15.0

    @property
    def target(self) -> str:
        return f"/files/{self.file}?rate={self.rate}" if self.file else "/"


class _Flaw(Exception):
    def __init__(self, outcome: RequestOutcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


@dataclass(slots=True)
class _Progress:
    """The progress of a request."""

    connected: bool = False
    proxy: str = ""
    bytes: int = 0


async def fetch(request: Request, report: Callable[[Opened], None]) -> Finished:
    """Make a request. report: called when the answer begins. Errors are in the result."""
    began = time.monotonic()
    progress = _Progress()
    outcome, reason = RequestOutcome.OK, ""
    try:
        await _exchange(request, progress, report)
    except _Flaw as flaw:
        outcome, reason = flaw.outcome, str(flaw)
    except TimeoutError:
        outcome = RequestOutcome.CUT if progress.connected else RequestOutcome.FAILED
        reason = "stalled" if progress.connected else "no connection in time"
    except (OSError, asyncio.IncompleteReadError) as error:
        outcome = RequestOutcome.CUT if progress.connected else RequestOutcome.FAILED
        reason = str(error) or type(error).__name__
    return Finished(
        number=request.number,
        client=str(request.client),
        proxy=progress.proxy,
        target=request.target,
        outcome=outcome,
        reason=reason,
        bytes=progress.bytes,
        seconds=round(time.monotonic() - began, 3),
    )


async def _exchange(request: Request, progress: _Progress, report: Callable[[Opened], None]) -> None:
    async with _connection(request) as (reader, writer):
        progress.connected = True
        writer.write(_head(request))
        async with asyncio.timeout(request.stall_bound_s):
            status, headers = _parse(await reader.readuntil(b"\r\n\r\n"))
        progress.proxy = headers.get("x-proxy", "")
        if status != 200:
            raise _Flaw(RequestOutcome.FAILED, f"status {status}")
        report(Opened(request.number, str(request.client), progress.proxy, request.target))
        digest = await _read_body(reader, request, int(headers["content-length"]), progress)
    if request.file and digest != web_files.digest(request.file):
        raise _Flaw(RequestOutcome.CUT, "wrong bytes")


@asynccontextmanager
async def _connection(request: Request) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(_CONNECT_BOUND_S):
        reader, writer = await asyncio.open_connection(
            str(request.server), request.port, local_addr=(str(request.client), 0)
        )
    try:
        yield reader, writer
    finally:
        writer.close()


def _head(request: Request) -> bytes:
    return f"GET {request.target} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode()


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    """The status and the headers, names in lower case."""
    status_line, *lines = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(status_line.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, request: Request, length: int, progress: _Progress) -> str:
    """Read the whole body. Returns its SHA-256."""
    if request.file and length != web_files.SIZES[request.file]:
        raise _Flaw(RequestOutcome.FAILED, f"{length} bytes announced, not {web_files.SIZES[request.file]}")
    loop = asyncio.get_running_loop()
    digest = hashlib.sha256()
    async with asyncio.timeout(request.stall_bound_s) as bound:
        while progress.bytes < length:
            chunk = await reader.read(_CHUNK)
            if not chunk:
                raise _Flaw(RequestOutcome.CUT, f"ended after {progress.bytes} of {length} bytes")
            digest.update(chunk)
            progress.bytes += len(chunk)
            bound.reschedule(loop.time() + request.stall_bound_s)
    return digest.hexdigest()
