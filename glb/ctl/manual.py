# SPDX-License-Identifier: MIT
"""The manual pages as Markdown, made from the texts of `--help` and from pages in docs/. Pure.

`script/man` renders them by go-md2man.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from typer.core import TyperArgument, TyperCommand, TyperGroup

Command = TyperCommand | TyperGroup
Page = Callable[[TyperGroup, Mapping[str, str]], Iterator[str]]

_TYPES = {
    "str": "TEXT",
    "list[str]": "TEXT",
    "path": "FILE",
    "list[path]": "FILE",
    "int": "NUMBER",
    "int range": "NUMBER",
    "float": "NUMBER",
    "float range": "NUMBER",
}
"""The placeholder of a value, by typer's name of its type."""

_FILES = {
    "/etc/glb/director.conf": "configuration of a director; see **glb-director.conf**(5)",
    "/etc/glb/proxy.conf": "configuration of a proxy; see **glb-proxy.conf**(5)",
    "/etc/glb/forwarding_table.json": "the forwarding tables; see **glb-forwarding-table**(5)",
    "/run/glb/": "status files, control sockets and locks, as long as the host is up",
    "/var/lib/glb/": "health, and the versions of tables that were loaded; kept over reboots",
    "/sys/fs/bpf/glb/": "pinned programs and maps, by interface",
}
_ENVIRONMENT = {
    "GLB_CONFIG_DIR": "in place of /etc/glb",
    "GLB_RUN_DIR": "in place of /run/glb",
    "GLB_STATE_DIR": "in place of /var/lib/glb",
}
_EXIT_STATUS = {
    "0": "done",
    "1": "failed",
    "2": "wrong input: a file with an error, a wrong argument",
}


@dataclass(frozen=True, slots=True)
class ManualPage:
    """A page's name, section, and one-line description, and how its text is made."""

    name: str
    section: int
    purpose: str
    body: Page


def pages(root: TyperGroup, docs: Mapping[str, str], version: str, date: str) -> dict[str, str]:
    """Markdown by file name, such as "glbctl.1".

    root: the command `glbctl`. docs: pages of docs/ by name, without ".md". date: such as 2026-11-28.
    """
    return {f"{page.name}.{page.section}": _whole(page, root, docs, version, date) for page in _PAGES}


def _whole(page: ManualPage, root: TyperGroup, docs: Mapping[str, str], version: str, date: str) -> str:
    others = ", ".join(f"**{other.name}**({other.section})" for other in _PAGES if other is not page)
    blocks = [
        f'% {page.name.upper()} {page.section} "{date}" "glb {version}" "glb"',
        f"# NAME\n\n{page.name} - {page.purpose}",
        *page.body(root, docs),
        f"# SEE ALSO\n\n{others}",
    ]
    return "\n\n".join(blocks) + "\n"


def _glbctl(root: TyperGroup, _: Mapping[str, str]) -> Iterator[str]:
    yield "# SYNOPSIS\n\n**glbctl** *COMMAND* [*OPTIONS*] [*ARGUMENTS*]"
    yield "# DESCRIPTION"
    yield _prose(root.help or "")
    yield "# OPTIONS"
    yield from _parameters(root)
    yield "# COMMANDS"
    for path, command in _leaves(root, ("glbctl",)):
        yield f"## {' '.join(path)}"
        yield from _usage(path, command)
    yield from _table("EXIT STATUS", _EXIT_STATUS)
    yield from _table("ENVIRONMENT", _ENVIRONMENT)
    yield from _table("FILES", _FILES)


def _daemon(role: str) -> Page:
    def body(root: TyperGroup, _: Mapping[str, str]) -> Iterator[str]:
        group = root.commands[role]
        assert isinstance(group, TyperGroup)
        run = group.commands["run"]
        assert isinstance(run, TyperCommand)
        yield f"# SYNOPSIS\n\n{_synopsis(('glbctl', role, 'run'), run)}\n\n**systemctl start glb-{role}@**_IFACE_"
        yield "# DESCRIPTION"
        yield _prose(group.help or "")
        yield _prose(run.help or "")
        yield "# OPTIONS"
        yield from _parameters(run)
        yield from _table("FILES", _FILES)

    return body


def _from_docs(*sections: tuple[str, str, str]) -> Page:
    """sections: each a page of docs/, a heading of the second level there, and the title here."""

    def body(_: TyperGroup, docs: Mapping[str, str]) -> Iterator[str]:
        for page, heading, title in sections:
            yield f"# {title}"
            yield man_markdown(section(docs[page], heading))

    return body


_PAGES = (
    ManualPage("glbctl", 1, "control the layer-4 load balancer glb", _glbctl),
    ManualPage(
        "glb-director.conf", 5, "configuration of a glb director",
        _from_docs(("configuration", "director.conf", "DESCRIPTION")),
    ),
    ManualPage(
        "glb-proxy.conf", 5, "configuration of a glb proxy",
        _from_docs(("configuration", "proxy.conf", "DESCRIPTION")),
    ),
    ManualPage(
        "glb-forwarding-table", 5, "forwarding tables of glb",
        _from_docs(
            ("configuration", "forwarding_table.json", "DESCRIPTION"),
            ("health", "Checks", "HEALTH CHECKS"),
            ("health", "Intervals and thresholds", "INTERVALS AND THRESHOLDS OF CHECKS"),
            ("configuration", "The binary", "BINARY FORMAT"),
        ),
    ),
    ManualPage("glb-director", 8, "tunnel clients' packets to proxies", _daemon("director")),
    ManualPage("glb-proxy", 8, "take packets out of the tunnel of a glb director", _daemon("proxy")),
)  # fmt: skip


def section(page: str, heading: str) -> str:
    """The text below a heading of the second level, up to the next. Raises ValueError if there is none."""
    found = re.search(rf"^## {re.escape(heading)}( †)?\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"no section {heading}")
    return found[2].strip()


def man_markdown(text: str) -> str:
    """A page's Markdown as a manual can show it: headings one level up, no links, tables as lists of definitions."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text.replace(" †", ""))
    text = re.sub(r"^###", "##", text, flags=re.MULTILINE)
    return re.sub(r"(?:^\|.*\|\n?)+", _definitions, text, flags=re.MULTILINE)


def _definitions(table: re.Match[str]) -> str:
    """The first column defines what the others say, each but the last with its heading."""
    header, _, *rows = ([cell.strip() for cell in row.strip("|").split(" | ")] for row in table[0].splitlines())
    entries = []
    for term, *cells in rows:
        notes = [f"{name.capitalize()}: {cell}" for name, cell in zip(header[1:-1], cells[:-1], strict=True) if cell]
        entries.append(_entry(term.replace("`", "**"), ". ".join([cells[-1], *notes])))
    return "\n\n".join(entries) + "\n"


def _usage(path: tuple[str, ...], command: Command) -> Iterator[str]:
    yield _synopsis(path, command)
    yield _prose(command.help or "")
    yield from _parameters(command)


def _synopsis(path: tuple[str, ...], command: Command) -> str:
    arguments = [_argument(parameter) for parameter in command.params if isinstance(parameter, TyperArgument)]
    return " ".join((f"**{' '.join(path)}**", r"\[*OPTIONS*\]", *arguments))


def _argument(argument: TyperArgument) -> str:
    metavar = (argument.metavar or (argument.name or "").upper()).removeprefix("-- ").removesuffix("...").strip()
    bare = re.sub(r"^\[(.*)\]$", r"\1", metavar)  # the brackets that mark it as optional
    name = f"*{_escaped(bare)}*" + ("..." if argument.nargs == -1 else "")
    return name if argument.required else rf"\[{name}\]"


def _parameters(command: Command) -> Iterator[str]:
    context = command.context_class(command, info_name=command.name)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or record[0] in ("--help", "--install-completion", "--show-completion"):
            continue
        names, _, kind = record[0].partition(" <")
        value = kind.removesuffix(">")
        names, _, metavar = names.partition(" ") if not names.startswith("-") else _split_metavar(names)
        shown = metavar or (_TYPES.get(value, value) if names.startswith("-") else "")
        title = names if names.startswith("-") or parameter.metavar else names.upper()
        term = f"**{_escaped(title)}**" + (f" *{_escaped(shown)}*" if shown else "")
        yield _entry(term, _escaped(_in_words(record[1])))


def _in_words(text: str) -> str:
    """A parameter's help, with its default and its limits as people write them."""
    text = re.sub(r"default: \(([^)]*)\)", r"default: \1", text.replace("  ", " "))
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"\1 to \2", text)
    return re.sub(r"x>=([\d.]+)", r"at least \1", text)


def _split_metavar(names: str) -> tuple[str, str, str]:
    """ "-m, --note TEXT" as its names and its placeholder."""
    found = re.fullmatch(r"((?:-[^ ,]+, )*-[^ ,]+)(?: (.*))?", names)
    assert found is not None
    return found[1], "", found[2] or ""


def _prose(text: str) -> str:
    """A docstring's paragraphs; those that are examples as blocks of code."""
    return "\n\n".join(
        "```\n" + "\n".join(line.strip() for line in paragraph.splitlines()) + "\n```"
        if re.match(r"(glbctl|ssh|sudo) ", paragraph) and "\n" not in paragraph.strip() and not paragraph.endswith(".")
        else _escaped(paragraph)
        for paragraph in text.split("\n\n")
    )


def _table(title: str, entries: Mapping[str, str]) -> Iterator[str]:
    yield f"# {title}"
    yield from (_entry(f"**{_escaped(term)}**", text) for term, text in entries.items())


def _entry(term: str, text: str) -> str:
    return f"{term}\n:   {text}"


def _escaped(text: str) -> str:
    """Text in which only code in backquotes is Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<>\[\]])", r"\\\1", part) for part in parts)


def _leaves(group: TyperGroup, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, TyperGroup):
            yield from _leaves(command, (*path, name))
        elif isinstance(command, TyperCommand):
            yield (*path, name), command
