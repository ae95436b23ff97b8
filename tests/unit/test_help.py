# SPDX-License-Identifier: MIT
"""The help of every command: an example that fits it, and a group in the list of commands."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperCommand, TyperGroup

from glb.ctl.main import full_command

ROOT = full_command()


def leaves(command: object, path: tuple[str, ...] = ("glbctl",)) -> Iterator[tuple[str, TyperCommand]]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from leaves(child, (*path, name))
    elif isinstance(command, TyperCommand):
        yield " ".join(path), command


LEAVES = dict(leaves(ROOT))


def examples(path: str) -> list[str]:
    found = re.findall(rf"^\s*({path}(?:\s.*)?)$", LEAVES[path].help or "", re.MULTILINE)
    return [str(line).split(" | ")[0] for line in found]


@pytest.mark.parametrize("path", LEAVES)
def test_the_help_has_an_example_that_the_command_takes(path: str) -> None:
    assert examples(path), "the docstring has no line that begins with the command"
    for example in examples(path):
        words = shlex.split(example)[len(path.split()) :]
        LEAVES[path].make_context(path, words, resilient_parsing=False).close()


def test_every_command_is_in_a_group() -> None:
    assert isinstance(ROOT, TyperGroup)

    assert [name for name, command in ROOT.commands.items() if not getattr(command, "rich_help_panel", None)] == []


def test_listing_commands_imports_none_of_them() -> None:
    code = "import sys, glb.ctl.main; print(*{'numpy', 'aiohttp', 'pydantic', 'pyroute2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
