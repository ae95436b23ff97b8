# SPDX-License-Identifier: MIT
"""The command `glbctl`: its subcommands, and how errors end it."""

import errno
import sys
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from glb import __version__
from glb.ctl.commands import COMMANDS
from glb.ctl.lazy import LazyGroup
from glb.ctl.output import complain, wants_json, wants_json_log
from glb.errors import ConfigError, GlbError, InputRefusedError, TableError

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


class _Root(LazyGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(entries=COMMANDS, **settings)


app = typer.Typer(
    name="glbctl",
    cls=_Root,
    help="glb, a layer-4 load balancer: run its daemons, look at its tables, drain its backends.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # so that paragraphs are wrapped to the terminal, and lists stay lists
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"glbctl {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def full_command() -> LazyGroup:
    """glbctl with all its commands imported, for what describes them."""
    command = typer.main.get_command(app)
    assert isinstance(command, LazyGroup)
    command.load_all()
    return command


def run() -> None:
    """Run glbctl. Exit status: 0 done, 1 failed, 2 wrong input (a bad file, a bad argument).

    With -o json or --log json, errors are JSON too, those of the command line included.
    """
    try:
        if wants_json(sys.argv[1:]) or wants_json_log(sys.argv[1:]):
            sys.exit(app(standalone_mode=False))  # errors come here instead of being printed
        app()
    except GlbError as error:
        complain(str(error))
        sys.exit(EXIT_BAD_INPUT if isinstance(error, ConfigError | TableError | InputRefusedError) else EXIT_FAILED)
    except PermissionError as error:
        complain(f"{error.filename or error}: {error.strerror} (most commands need root)")
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of the output has gone
            sys.exit(EXIT_FAILED)
        complain(f"{error.filename or 'output'}: {error.strerror or error}")
        sys.exit(EXIT_FAILED)
    except typer.Abort:
        complain("aborted")
        sys.exit(EXIT_FAILED)
    except TyperException as error:
        complain(error.format_message())
        sys.exit(EXIT_BAD_INPUT)
