# SPDX-License-Identifier: MIT
"""What a health check takes for an HTTP response."""

from ipaddress import ip_address

import pytest

from glb.health.http_check import read_status, request_for
from glb.health.result import Result


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody", 200),
        (b"HTTP/1.0 404\r\n\r\n", 404),
        (b"HTTP/1.1 204 \r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\n\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n", 503),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 101),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 2", None),
        (b"", None),
    ],
)
def test_the_status_is_that_of_the_final_response(received: bytes, status: int | None) -> None:
    assert read_status(received)[0] == status
    pieces = b""
    for position in range(len(received)):
        found, pieces = read_status(pieces + received[position : position + 1])
        if found is not None:
            break
    assert found == status if received else True


@pytest.mark.parametrize(
    "received",
    [
        b"220 ready for mail\r\n",
        b"HTTP/2 200\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nnothing\r\n",
    ],
)
def test_anything_else_fails_at_the_end_of_its_line(received: bytes) -> None:
    found = read_status(received)[0]
    assert isinstance(found, Result)
    assert found.found.startswith("no HTTP: ")


@pytest.mark.parametrize(
    ("address", "port", "host", "sent"),
    [
        ("10.0.0.1", 80, None, b"Host: 10.0.0.1\r\n"),
        ("10.0.0.1", 8080, None, b"Host: 10.0.0.1:8080\r\n"),
        ("2001:db8::1", 8080, None, b"Host: [2001:db8::1]:8080\r\n"),
        ("10.0.0.1", 8080, "www.example.com", b"Host: www.example.com\r\n"),
    ],
)
def test_the_host_header_is_the_address_unless_configured(
    address: str, port: int, host: str | None, sent: bytes
) -> None:
    request = request_for(ip_address(address), port, "/up", host)
    assert request.startswith(b"GET /up HTTP/1.1\r\n" + sent)
    assert request.endswith(b"Connection: close\r\n\r\n")
