# SPDX-License-Identifier: MIT
"""Checks of single values of the JSON files: each function takes a JSON value and returns the checked one.

Each raises PydanticCustomError with the wrong value and what is allowed; pydantic adds the field.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, ip_address, ip_interface
from pathlib import Path
from typing import TypeVar

from pydantic_core import PydanticCustomError

from glb.config.field import shown
from glb.config.health import FULL_SIZE
from glb.config.model import Address, Listen, Network

MAX_WEIGHT = 1000
MIN_PACKET_SIZE = 576  # every IPv4 host accepts this size: RFC 791

Interface = IPv4Interface | IPv6Interface
"""An address and the length of its prefix."""

AnyEnum = TypeVar("AnyEnum", bound=StrEnum)


def problem(message: str) -> PydanticCustomError:
    """An error with exactly this message."""
    return PydanticCustomError("glb", "{message}", {"message": message})


def refuse(value: object, allowed: str) -> PydanticCustomError:
    """An error that names the wrong value and what it is not."""
    return problem(f"{shown(value)} is not {allowed}")


def integer(low: int, high: int) -> Callable[[object], int]:
    """A check for whole numbers from `low` to `high`; true and 80.0 are none."""

    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise refuse(value, f"a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Callable[[object], float]:
    """A check for numbers from `low` to `high`; true is none."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise refuse(value, f"a number from {low:g} to {high:g}")
        return float(value)

    return check


port = integer(1, 65535)
bind_port = integer(0, 65535)


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise refuse(value, "true or false")
    return value


def object_or_false(value: object) -> object:
    """A JSON object as it is; None for false, which switches off what the object would describe."""
    if value is False:
        return None
    if not isinstance(value, dict):
        raise refuse(value, "an object, or false")
    return value


def name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise refuse(value, "a name of printable characters")
    return value


def text(value: object) -> str:
    if not isinstance(value, str):
        raise refuse(value, "a text")
    return value


def uri_path(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        raise refuse(value, 'a path of printable ASCII that begins with "/"')
    return value


def host(value: object) -> str:
    """A Host header's host, with or without a port."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._\-\[\]:]{1,255}", value):
        raise refuse(value, "a host's name or address")
    return value


def packet_size(value: object) -> int:
    """Bytes of an IPv4 packet; "full" is the largest."""
    if value == "full":
        return FULL_SIZE
    if type(value) is not int or not MIN_PACKET_SIZE <= value <= FULL_SIZE:
        raise refuse(value, f'a whole number of bytes from {MIN_PACKET_SIZE} to {FULL_SIZE}, or "full"')
    return value


def statuses(value: object) -> tuple[tuple[int, int], ...]:
    """HTTP status codes: a list of numbers, and of ranges such as "200-299"."""
    if not isinstance(value, list) or not value:
        raise refuse(value, 'a list of status codes and ranges, such as [204, "300-399"]')
    return tuple(_status_range(entry) for entry in value)


def _status_range(entry: object) -> tuple[int, int]:
    found = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", str(entry)) if type(entry) in (int, str) else None
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if first > last:
        raise refuse(entry, 'a status code from 100 to 599, or a range such as "200-299"')
    return first, last


def key16(value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{32}", value):
        raise refuse(value, "32 hex digits")
    return bytes.fromhex(value)


def one_of(choices: type[AnyEnum]) -> Callable[[object], AnyEnum]:
    """A check for one of an enumeration's texts."""

    def check(value: object) -> AnyEnum:
        if not isinstance(value, str) or value not in set(choices):
            raise refuse(value, f"one of {', '.join(sorted(choices))}")
        return choices(value)

    return check


def weight(value: object) -> float:
    # Infinity, which 1e999 is read as, is above every limit; true is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_WEIGHT:
        raise refuse(value, f"a number above 0, at most {MAX_WEIGHT}")
    return float(value)


def unicast(value: object) -> Address:
    """The address of one host."""
    try:
        # Only a text may be parsed: ip_address(80) is an address too. A zone means little elsewhere.
        address = ip_address(value) if isinstance(value, str) and "%" not in value else None
    except ValueError:
        address = None
    if address is None:
        raise refuse(value, "an IPv4 or IPv6 address")
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        raise refuse(value, "the address of one host")
    return address


def unicast_ipv4(value: object) -> IPv4Address:
    address = unicast(value)
    if isinstance(address, IPv6Address):
        raise refuse(value, "an IPv4 address; the datapath tunnels over IPv4 only")
    return address


def host_ipv4(value: object) -> IPv4Address:
    address = unicast(value)
    if isinstance(address, IPv6Address):
        raise refuse(value, "an IPv4 address")
    return address


def host_ipv6(value: object) -> IPv6Address:
    address = unicast(value)
    if isinstance(address, IPv4Address):
        raise refuse(value, "an IPv6 address")
    return address


def network(value: object) -> Network:
    """An address, or a CIDR whose host bits are zero."""
    found = interface(value)
    if found.ip != found.network.network_address:
        raise problem(f"{shown(value)} has host bits set; did you mean {shown(str(found.network))}?")
    return found.network


def interface(value: object) -> Interface:
    """An address, or a CIDR with any host bits."""
    if not isinstance(value, str) or "%" in value or not re.fullmatch(r"[^/]+(/[0-9]+)?", value):
        raise refuse(value, "an address or CIDR")
    try:
        return ip_interface(value)
    except ValueError:
        raise refuse(value, "an address or CIDR") from None


def table_name(value: object) -> str | None:
    """A name; None for an empty one, which glb-director's files may have."""
    return None if value == "" else name(value)


def statsd_port(value: object) -> int | None:
    """A port, which glb-director's DPDK version reads as a text; None for 0, which switches statsd off."""
    is_text = isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value)
    return bind_port(int(str(value)) if is_text else value) or None


def network_ipv4(value: object) -> IPv4Network:
    found = network(value)
    if not isinstance(found, IPv4Network):
        raise refuse(value, "an IPv4 address or CIDR; the tunnel is IPv4 only")
    return found


def vip(value: object) -> Network:
    """An address or network that clients may send to, of either family."""
    found = network(value)
    first = found.network_address
    if first.is_loopback or first.is_multicast or first.is_link_local or first.is_unspecified:
        raise refuse(value, "an address or CIDR that clients send to, such as 203.0.113.10 or 2001:db8:f::/64")
    return found


def listen(value: object) -> Listen:
    """An address of this host and a port: 127.0.0.1:9480, [::1]:9480, 0.0.0.0:9480."""
    allowed = "an address and a port such as 127.0.0.1:9480 or [::1]:9480"
    found = (
        re.fullmatch(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})", value)
        if isinstance(value, str)
        else None
    )
    if found is None or not 0 < int(found["port"]) < 65536:
        raise refuse(value, allowed)
    try:
        address = IPv6Address(found["v6"]) if found["v6"] else IPv4Address(found["v4"])
    except ValueError:
        raise refuse(value, allowed) from None
    if address.is_multicast or address == IPv4Address("255.255.255.255"):
        raise refuse(value, allowed)
    return Listen(address, int(found["port"]))


def namespace(value: object) -> str:
    """A network namespace: a name, as `ip netns` has it, or the path of a file such as /proc/1/ns/net."""
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(r"/.+|(?!\.{1,2}$)[^/]+", value):
        raise refuse(value, "a name under /run/netns or an absolute path")
    return value


def mac(value: object) -> str:
    """A host's MAC address with colons or dashes; returned in lower case with colons."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", value):
        raise refuse(value, "a MAC address such as 02:00:5e:10:00:01")
    octets = bytes.fromhex(re.sub("[:-]", "", value))
    if octets[0] & 1 or not any(octets):
        raise refuse(value, "the MAC address of one host")
    return octets.hex(":")


def community(value: object) -> str:
    """A BGP community as routers write it: 65000:100 (RFC 1997), or 65000:1:2 (large, RFC 8092)."""
    parts = (
        value.split(":") if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}(:[0-9]{1,10}){1,2}", value) else []
    )
    highest = 65535 if len(parts) == 2 else 4_294_967_295
    if not parts or any(int(part) > highest for part in parts):
        raise refuse(value, "a community such as 65000:100, or a large one such as 65000:1:2")
    return ":".join(str(int(part)) for part in parts)


def md5_password(value: object) -> str:
    """A session's TCP MD5 key: the kernel takes 80 bytes, and a quote would end it in a speaker's configuration."""
    if not isinstance(value, str) or not re.fullmatch(r"[!#-&(-\[\]-~]{1,80}", value):
        # Not shown: it is a secret.
        raise problem("a password has 1 to 80 printable ASCII characters, without spaces, quotes and backslashes")
    return value


def absolute_path(value: object) -> Path:
    if not isinstance(value, str) or not value.isprintable() or not value.startswith("/"):
        raise refuse(value, "an absolute path")
    return Path(value)
