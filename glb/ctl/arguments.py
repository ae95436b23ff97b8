# SPDX-License-Identifier: MIT
"""Arguments and options that several commands share; parsing of addresses with ports."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated

import typer

from glb import paths
from glb.ctl import complete
from glb.daemon.log import LogFormat


def parse_endpoint(text: str) -> tuple[IPv4Address | IPv6Address, int | None]:
    """Parse an address with or without a port: 198.51.100.7, 198.51.100.7:80, 2001:db8::7, [2001:db8::7]:80.

    Raises typer.BadParameter, which names the text.
    """
    host, port = _split(text)
    try:
        address = ip_address(host)
    except ValueError:
        raise typer.BadParameter(f'"{text}": {host or "nothing"} is not an IP address') from None
    if port is None:
        return address, None
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise typer.BadParameter(f'"{text}": {port or "nothing"} is not a port (0 to 65535)')
    return address, int(port)


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise typer.BadParameter(f'"{text}" is not of the form [ADDRESS]:PORT')
        return host, rest[1:] if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


Interface = Annotated[
    str,
    typer.Option(
        "--iface", autocompletion=complete.host_interfaces, help="The network interface that receives the packets."
    ),
]
DirectorFile = Annotated[
    Path,
    typer.Option(
        "--config",
        help="The director's configuration (JSON).",
        default_factory=paths.director_config,
        show_default="/etc/glb/director.conf",
    ),
]
ProxyFile = Annotated[
    Path,
    typer.Option(
        "--config",
        help="The proxy's configuration (JSON).",
        default_factory=paths.proxy_config,
        show_default="/etc/glb/proxy.conf",
    ),
]
TableFile = Annotated[
    Path,
    typer.Option(
        "--table",
        help="The forwarding tables: source (JSON) or binary (GLBD).",
        default_factory=paths.forwarding_table,
        show_default="/etc/glb/forwarding_table.json",
    ),
]
TableArgument = Annotated[
    Path, typer.Argument(metavar="TABLE", help="A file of forwarding tables: source (JSON) or binary (GLBD).")
]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the datapath attached when the daemon stops.")]
ChangeGroup = Annotated[
    str | None,
    typer.Option("--group", help="A group whose members may use the control socket; if not given, glb-admin."),
]
ViewGroup = Annotated[
    str | None,
    typer.Option("--view-group", help="A group whose members may read from the control socket; if not given, glb."),
]
Log = Annotated[LogFormat, typer.Option("--log", help="Format of log lines: text, or one JSON object for each line.")]
