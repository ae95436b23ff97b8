# SPDX-License-Identifier: MIT
"""Who is at the other end of a control socket."""

import asyncio
import json
import os
import pwd
import socket
from pathlib import Path
from typing import Annotated, Any

from glb.control.access import Access
from glb.control.api import Api
from glb.control.client import Client
from glb.control.connection_limits import ConnectionLimits
from glb.control.http import request
from glb.control.peer import peer_of
from glb.control.routes import ApiRouter, From
from glb.control.server import ControlSocket, serve, serve_on

router = ApiRouter("peer", prefix="")
API = Api("test", "", router.routes, failed=409)


@router.get("/peer")
async def peer(user: Annotated[str | None, From(peer_of)]) -> str | None:
    return user


def test_a_unix_socket_gives_the_user() -> None:
    async def request_user(path: Path) -> Any:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(API, ControlSocket(path, Access()), stop))
        answer = await asyncio.to_thread(Client(path).get, "/peer")
        stop.set()
        await serving
        return answer

    # The path of a socket has room for 107 characters, which a test's own folder may exceed.
    path = Path("/tmp") / f"glb-peer-{os.getpid()}.sock"

    assert asyncio.run(request_user(path)) == pwd.getpwuid(os.getuid()).pw_name


def test_another_socket_does_not() -> None:
    async def request_user() -> Any:
        stop = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        serving = asyncio.create_task(serve_on(API, [listener], stop, ConnectionLimits()))
        answer = await asyncio.to_thread(request, socket.AF_INET, address, "test", "GET", "/peer", None, 10)
        stop.set()
        await serving
        return json.loads(answer.content)

    assert asyncio.run(request_user()) is None
