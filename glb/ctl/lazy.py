# SPDX-License-Identifier: MIT
"""Commands that are imported when they run.

Help and completion list them by their entries, so that `glbctl --version` or a completion does not import numpy,
aiohttp and the rest of what the daemons need.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from glb.memory import collection_paused


@dataclass(frozen=True, slots=True)
class Entry:
    """A command. target: "module:function", or "module:app" of a Typer application that has the command.

    summary: its line in lists. panel: the heading under which the list has it.
    """

    name: str
    target: str
    summary: str
    panel: str | None = None

    def load(self) -> TyperCommand:
        """The command itself, which imports its module."""
        module, _, attribute = self.target.partition(":")
        with collection_paused():
            found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command = typer.main.get_group(found).commands[self.name]
        else:
            app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            app.command(self.name)(found)
            command = typer.main.get_command(app)
        assert isinstance(command, TyperCommand)
        command.rich_help_panel = self.panel
        return command


@dataclass(frozen=True, slots=True)
class Group:
    """A command with commands below it."""

    name: str
    panel: str
    summary: str
    entries: tuple[Entry, ...]

    def load(self) -> "LazyGroup":
        return LazyGroup(
            name=self.name,
            help=self.summary,
            no_args_is_help=True,
            rich_markup_mode="markdown",
            rich_help_panel=self.panel,
            entries=self.entries,
        )


class LazyGroup(TyperGroup):
    """A group whose commands are placeholders, each with its summary, until they are needed."""

    def __init__(self, *, entries: Sequence[Entry | Group] = (), **settings: Any) -> None:
        super().__init__(**settings)
        self._entries = {entry.name: entry for entry in entries}
        for entry in entries:
            self.add_command(entry.load() if isinstance(entry, Group) else _placeholder(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As click does for a command that is to run or to be completed, its module imported first."""
        self.load(args[0])
        return super().resolve_command(ctx, args)

    def load(self, name: str) -> None:
        """Replace a placeholder. Nothing happens if there is no command of this name."""
        entry = self._entries.get(name)
        if isinstance(entry, Entry):
            self.add_command(entry.load())

    def load_all(self) -> None:
        """Replace every placeholder, here and below."""
        for name, command in list(self.commands.items()):
            self.load(name)
            if isinstance(command, LazyGroup):
                command.load_all()


def _placeholder(entry: Entry) -> TyperCommand:
    return TyperCommand(entry.name, help=entry.summary, rich_help_panel=entry.panel)
