# SPDX-License-Identifier: MIT
"""Binds as text."""

import pytest

from glb.config.bind_text import parse_bind
from glb.errors import ConfigError


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.10:80/tcp",
        "203.0.113.0/24:8000-8099/tcp",
        "[2001:db8:f::10]:53/udp",
        "[2001:db8:f::/64]:1-65535/tcp",
        "0.0.0.0/0:443/tcp",
    ],
)
def test_a_bind_is_read_as_it_is_written(text: str) -> None:
    assert str(parse_bind(text)) == text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("203.0.113.10:80", "is not a bind such as"),
        ("203.0.113.10/tcp", "is not a bind such as"),
        ("2001:db8::1:80/tcp", "is not a bind such as"),
        ("203.0.113.10:80/sctp", "is not a bind such as"),
        ("203.0.113.10:٨٠/tcp", "is not a bind such as"),
        ("203.0.113.256:80/tcp", "203.0.113.256"),
        ("203.0.113.7/24:80/tcp", "has host bits set"),
        ("203.0.113.10:90-80/tcp", "a range begins with the lower one"),
        ("203.0.113.10:80-65536/tcp", "ports are 0 to 65535"),
    ],
)
def test_what_is_no_bind_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        parse_bind(text)
