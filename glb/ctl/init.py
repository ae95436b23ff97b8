# SPDX-License-Identifier: MIT
"""`glbctl init`: the first configuration of a director or a proxy."""

import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Annotated, Any, TypeVar

import typer
from rich.text import Text

from glb import paths
from glb.config.model import Proto
from glb.config.parse import parse_director, parse_proxy, parse_tables
from glb.ctl import complete
from glb.ctl.arguments import parse_endpoint
from glb.ctl.check import print_checked
from glb.ctl.output import Format, Output, console, emit
from glb.director.check_files import check_director, check_proxy
from glb.errors import NetworkError
from glb.setup import texts
from glb.setup.files import Fate, fate, write
from glb.setup.host import Uplink, default_interface, network_manager, server_link, uplink
from glb.setup.new_file import NewFile
from glb.setup.server import Manager, Needs, apply_now, left_to_do, server_files
from glb.setup.texts import ClientService

app = typer.Typer(help="Write the first configuration of a director or a proxy.", no_args_is_help=True)

_PRIVATE = 0o640
"""Of files with a hash key, or with a password of BGP."""

T = TypeVar("T")

Interface = Annotated[
    str | None,
    typer.Option(
        "--iface",
        autocompletion=complete.host_interfaces,
        help="The interface that receives packets; default: that of the default route.",
    ),
]
Print = Annotated[bool, typer.Option("--print", help="Show the files and write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Write without confirmation.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace existing files; a copy of each, named by the time, is kept beside it.")
]


@dataclass(frozen=True, slots=True)
class _Work:
    """What init is about to do. commands: what the user runs afterwards. notes: what is left to the user."""

    files: tuple[NewFile, ...]
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()


@app.command()
def director(
    vip: Annotated[
        list[str] | None,
        typer.Option(
            "--vip", help="A VIP with its port: 203.0.113.10:443, [2001:db8::1]:53/udp; repeat it for further ones."
        ),
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="The address of a proxy; repeat it for further ones.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="The tunnel's source; default: the interface's IPv4 address."),
    ] = None,
    iface: Interface = None,
    name: Annotated[str, typer.Option("--name", help="The table's name.")] = "web",
    only_print: Print = False,
    yes: Yes = False,
    force: Force = False,
    output: Output = Format.TEXT,
) -> None:
    """Write director.conf and forwarding_table.json, with a random hash key and seed.

    On a terminal, the command prompts for values that are not given. All directors need the same table: on each
    further director, first copy forwarding_table.json from the first one. An existing file is kept, and VIPs and
    proxies are then not needed.

    glbctl init director --vip 203.0.113.10:443 --backend 10.0.0.11 --backend 10.0.0.12
    """
    prompts = _can_prompt(output)
    up = _uplink(iface)
    source = _source(address, up)
    notes: tuple[str, ...] = ()
    files = [NewFile(paths.director_config(), texts.director_text(source), _PRIVATE)]
    parse_director(files[0].text, str(files[0].path))
    if vip or backend or not paths.forwarding_table().exists():
        files.append(NewFile(paths.forwarding_table(), _table(name, vip, backend, prompts), _PRIVATE))
        parse_tables(files[1].text, str(files[1].path))
        notes = ("copy forwarding_table.json to the other directors: all need the same hash_key and seed",)
    work = _Work(tuple(files), (f"systemctl enable --now glb-director@{up.interface}",), notes)
    if _finish(work, only_print, yes, force, output) and output is Format.TEXT:
        print_checked(list(check_director(paths.director_config(), paths.forwarding_table())))


@app.command()
def proxy(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="An address or network of directors or proxies; repeat it for further ones."),
    ] = None,
    vip: Annotated[
        list[str] | None, typer.Option("--vip", help="An address that clients connect to; repeat it for further ones.")
    ] = None,
    iface: Interface = None,
    mtu: Annotated[
        int | None,
        typer.Option(
            "--mtu",
            min=1280,
            max=65535,
            help="Also set the interface's MTU; 1544 fits packets of 1500 bytes and 3 hops.",
        ),
    ] = None,
    network: Annotated[
        Manager | None,
        typer.Option("--network", help="What configures this host's network; default: what runs here."),
    ] = None,
    only_print: Print = False,
    yes: Yes = False,
    force: Force = False,
    output: Output = Format.TEXT,
) -> None:
    """Write proxy.conf, and the network settings that a proxy needs, so that a reboot keeps them.

    The settings are the VIPs on lo, arp_ignore and arp_announce, rp_filter where it is strict, and with --mtu the
    interface's MTU. They are written as files of networkd, ifupdown or netplan, and of sysctl. On a terminal, the
    command prompts for values that are not given. It changes files only, and prints the commands that apply them.

    glbctl init proxy --source 10.0.0.0/24 --vip 203.0.113.10
    """
    prompts = _can_prompt(output)
    up = _uplink(iface)
    sources = _values(
        source,
        _network,
        prompts,
        "--source",
        "Addresses or networks of all directors and proxies",
        _text_of(up.networks),
    )
    vips = _values(vip, ip_address, prompts, "--vip", "VIPs that this host serves", None)
    manager = network or network_manager(up.interface)
    needs = Needs(tuple(vips), server_link(up.interface), mtu)
    own = NewFile(paths.proxy_config(), texts.proxy_text(sources))
    parse_proxy(own.text, str(own.path))
    commands = (*apply_now(manager, needs), f"systemctl enable --now glb-proxy@{up.interface}")
    work = _Work((own, *server_files(manager, needs)), commands, tuple(left_to_do(manager, needs)))
    if _finish(work, only_print, yes, force, output) and output is Format.TEXT:
        print_checked([check_proxy(paths.proxy_config())])


def _can_prompt(output: Format) -> bool:
    return sys.stdin.isatty() and output is Format.TEXT


def _uplink(interface: str | None) -> Uplink:
    chosen = interface or default_interface()
    if chosen is None:
        raise typer.BadParameter("this host has no IPv4 default route: name the interface by --iface")
    return uplink(chosen)


def _source(address: str | None, up: Uplink) -> IPv4Address:
    if address is not None:
        return _parsed(IPv4Address, address, "--address")
    if up.address is None:
        raise NetworkError(f"{up.interface} has no IPv4 address: give the tunnel's source by --address")
    return up.address


def _table(name: str, vips: list[str] | None, backends: list[str] | None, prompts: bool) -> str:
    services = _values(vips, _service, prompts, "--vip", "VIPs with their ports, such as 203.0.113.10:443", None)
    if len(set(services)) < len(services):
        raise typer.BadParameter("--vip: one VIP with this port is already given; give each once")
    proxies = _values(backends, IPv4Address, prompts, "--backend", "Addresses of the proxies", None)
    return texts.table_text(name, services, proxies, secrets.token_bytes(16), secrets.token_bytes(16))


def _values(
    given: Sequence[str] | None,
    parse: Callable[[str], T],
    prompts: bool,
    option: str,
    question: str,
    default: str | None,
) -> list[T]:
    """The values of an option; if there are none, a terminal's answer, separated by spaces."""
    if given:
        return [_parsed(parse, text, option) for text in given]
    if not prompts:
        raise typer.BadParameter(f"{option} is missing (on a terminal, init prompts for it)")

    def read(answer: str) -> list[T]:
        return [_parsed(parse, text, question) for text in answer.replace(",", " ").split()]

    found: list[T] = typer.prompt(question, default=default, value_proc=read, err=True)
    return found


def _parsed(parse: Callable[[str], T], text: str, option: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def _network(text: str) -> IPv4Network:
    return IPv4Network(text)


def _service(text: str) -> ClientService:
    place, _, proto = text.partition("/")
    vip, port = parse_endpoint(place)
    if port is None or proto not in ("", *Proto):
        raise ValueError(f'"{text}" is not a VIP with its port, such as 203.0.113.10:443 or [2001:db8::1]:53/udp')
    return ClientService(vip, port, Proto(proto or "tcp"))


def _text_of(networks: Sequence[IPv4Network]) -> str | None:
    return " ".join(map(str, networks)) or None


def _finish(work: _Work, only_print: bool, yes: bool, force: bool, output: Format) -> bool:
    """Show the files, and write them if that is confirmed. Returns whether the files are there now."""
    fates = [fate(file, force) for file in work.files]
    changes = bool({Fate.NEW, Fate.REPLACED} & set(fates))
    if output is Format.TEXT:
        _show(work, fates)
    if changes and not only_print and not yes:
        if not _can_prompt(output):
            raise typer.BadParameter(
                "standard input is not a terminal: --yes writes the files, --print only shows them"
            )
        typer.confirm("Write these files?", abort=True, err=True)
    copies = [] if only_print else [str(path) for path in write(work.files, force)]
    written = changes and not only_print
    if output is Format.JSON:
        emit(output, _facts(work, fates, copies, written), "")
    else:
        _show_end(work, copies, written)
    return not only_print


def _show(work: _Work, fates: Sequence[Fate]) -> None:
    for file, become in zip(work.files, fates, strict=True):
        heading = f"==> {file.path} ({become}{', --force replaces it' if become is Fate.KEPT else ''})"
        console.print(Text(heading, style="bold"))
        if become in (Fate.NEW, Fate.REPLACED):
            console.print(file.text)


def _show_end(work: _Work, copies: Sequence[str], written: bool) -> None:
    for copy in copies:
        console.print(f"earlier text: {copy}")
    for note in work.notes:
        console.print(f"note: {note}")
    console.print(f"{'Written' if written else 'Nothing was written'}. Commands that apply the files:")
    for command in work.commands:
        console.print(f"  {command}")


def _facts(work: _Work, fates: Sequence[Fate], copies: Sequence[str], written: bool) -> dict[str, Any]:
    files = [
        {"path": str(file.path), "fate": become, "mode": f"{file.mode:04o}", "text": file.text}
        for file, become in zip(work.files, fates, strict=True)
    ]
    return {
        "files": files, "copies": copies, "written": written, "commands": work.commands, "notes": work.notes,
    }  # fmt: skip
