# SPDX-License-Identifier: MIT
"""`glbctl completion`."""

from enum import StrEnum
from typing import Annotated

import typer
from typer import completion

_PROGRAM = "glbctl"
_FUNCTION = "_glbctl_completion"
_ZSH_REGISTRATION = f"compdef {_FUNCTION} {_PROGRAM}"
_ZSH_AUTOLOAD = f"""if [[ $funcstack[1] == _{_PROGRAM} ]]; then
  {_FUNCTION} "$@"
else
  {_ZSH_REGISTRATION}
fi"""
"""zsh runs a file of its function path, `_glbctl`, as a function of that name for each completion."""


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion_command(shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell.")]) -> None:
    """Print the script by which a shell completes commands, options, and names of tables, backends and verdicts.

    The Debian packages install these scripts. Without them, in ~/.bashrc: `source <(glbctl completion bash)`.

    glbctl completion bash
    """
    typer.echo(script(shell))


def script(shell: Shell) -> str:
    """The shell's script: typer's, made fit for a folder of zsh's completion functions."""
    found: str = completion.get_completion_script(  # type: ignore[attr-defined] # typer does not export it
        prog_name=_PROGRAM, complete_var="_GLBCTL_COMPLETE", shell=shell
    )
    return found.replace(_ZSH_REGISTRATION, _ZSH_AUTOLOAD) if shell is Shell.ZSH else found
