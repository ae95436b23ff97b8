# SPDX-License-Identifier: MIT
"""One HTTP request with a deadline, for commands that need no event loop (http.client)."""

import http.client
import socket
import time
from dataclasses import dataclass
from typing import Any

from glb.errors import AnswerTooLargeError

_MAX_ANSWER_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """status: the HTTP status; reason: its text; content: the body."""

    status: int
    reason: str
    content: bytes


def request(
    family: int, address: Any, host: str, method: str, path: str, body: bytes | None, timeout: float, connect: float = 5
) -> HttpResponse:
    """Send one request to the server at an address (as `socket.connect` takes it), and read the answer.

    timeout: seconds for the whole exchange; connect: the part of it for connecting. Raises OSError (TimeoutError when
    the time has passed), http.client.HTTPException and AnswerTooLargeError.
    """
    deadline = time.monotonic() + timeout
    with _Timed(family, socket.SOCK_STREAM) as connected:
        connected.deadline = deadline
        connected.settimeout(min(connect, timeout))
        connected.connect(address)
        connected.settimeout(max(deadline - time.monotonic(), 0.001))
        connection = http.client.HTTPConnection(host)
        connection.sock = connected
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, body, headers | {"Connection": "close"})
        response = connection.getresponse()
        content = response.read(_MAX_ANSWER_BYTES + 1)
    if len(content) > _MAX_ANSWER_BYTES:
        raise AnswerTooLargeError(f"{host}: the answer is larger than {_MAX_ANSWER_BYTES >> 20} MiB")
    return HttpResponse(response.status, response.reason, content)


class _Timed(socket.socket):
    """A socket with one deadline for all reads: a server that sends single bytes cannot prolong the exchange."""

    deadline = 0.0

    def recv_into(self, *arguments: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)
        return super().recv_into(*arguments)
