"""Who is at the other end of a control socket."""

import asyncio
import os
import pwd
import socket
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request

from glb.control.client import Client
from glb.control.peer import peer_of
from glb.control.server import Listener, serve, serve_on

app = FastAPI()


@app.get("/peer")
async def peer(request: Request) -> str | None:
    return peer_of(request)


def test_a_unix_socket_tells_the_user() -> None:
    async def ask(path: Path) -> Any:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(app, Listener(path, None), stop))
        answer = await asyncio.to_thread(Client(path).get, "/peer")
        stop.set()
        await serving
        return answer

    # The path of a socket has room for 107 characters, which a test's own folder may exceed.
    path = Path("/tmp") / f"glb-peer-{os.getpid()}.sock"

    assert asyncio.run(ask(path)) == pwd.getpwuid(os.getuid()).pw_name


def test_another_socket_does_not() -> None:
    async def ask() -> Any:
        stop = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(serve_on(app, listener, stop))
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/peer")
        stop.set()
        await serving
        return answer.json()

    assert asyncio.run(ask()) is None
