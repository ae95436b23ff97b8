# SPDX-License-Identifier: MIT
"""The command `glbctl`: its subcommands, and how errors end it."""

import errno
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from glb import __version__
from glb.ctl import (
    apply,
    backend,
    capture,
    check,
    director,
    doctor,
    explain,
    health,
    history,
    lab,
    lookup,
    probe,
    proxy,
    schema,
    simulate,
    stats,
    table,
    top,
    trace,
)
from glb.ctl.output import complain, wants_json
from glb.errors import ConfigError, GlbError, InputRefusedError, TableError

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2

_SETUP = "Setup"
_DAEMONS = "Daemons"
_TABLES = "Tables and backends"
_TRAFFIC = "Traffic"
_FAULTS = "Troubleshooting"
_TRIALS = "Trials"

app = typer.Typer(
    name="glbctl",
    help="glb, a layer-4 load balancer: run its daemons, look at its tables, drain its backends.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # so that paragraphs are wrapped to the terminal, and lists stay lists
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(director.app, name="director", rich_help_panel=_DAEMONS)
app.add_typer(proxy.app, name="proxy", rich_help_panel=_DAEMONS)
app.add_typer(table.app, name="table", rich_help_panel=_TABLES)
health.add_to(backend.app)
app.add_typer(backend.app, name="backend", rich_help_panel=_TABLES)
app.add_typer(lab.app, name="lab", rich_help_panel=_TRIALS)
table.app.command("plan")(apply.plan_command)
table.app.command("apply")(apply.apply_command)
table.app.command("history")(history.history_command)
table.app.command("rollback")(apply.rollback_command)
app.command("lookup", rich_help_panel=_TABLES)(lookup.lookup_command)
app.command("stats", rich_help_panel=_TRAFFIC)(stats.stats_command)
app.command("top", rich_help_panel=_TRAFFIC)(top.top_command)
app.command("capture", rich_help_panel=_TRAFFIC)(capture.capture_command)
app.command("trace", rich_help_panel=_TRAFFIC)(trace.trace_command)
app.command("probe", rich_help_panel=_FAULTS)(probe.probe_command)
app.command("check", rich_help_panel=_SETUP)(check.check_command)
app.command("schema", rich_help_panel=_SETUP)(schema.schema_command)
app.command("doctor", rich_help_panel=_FAULTS)(doctor.doctor_command)
app.command("explain", rich_help_panel=_FAULTS)(explain.explain_command)
app.command("simulate", rich_help_panel=_TRIALS)(simulate.simulate_command)


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


def run() -> None:
    """Run glbctl. Exit status: 0 done, 1 failed, 2 wrong input (a bad file, a bad argument).

    With -o json, errors are JSON too, those of the command line included.
    """
    try:
        if wants_json(sys.argv[1:]):
            sys.exit(app(standalone_mode=False))  # errors come here instead of being printed
        app()
    except GlbError as error:
        complain(str(error))
        sys.exit(EXIT_BAD_INPUT if isinstance(error, ConfigError | TableError | InputRefusedError) else EXIT_FAILED)
    except PermissionError as error:
        complain(f"{error.filename or error}: {error.strerror} (most commands need root)")
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read the output has gone
            sys.exit(EXIT_FAILED)
        complain(f"{error.filename or 'output'}: {error.strerror or error}")
        sys.exit(EXIT_FAILED)
    except typer.Abort:
        complain("aborted")
        sys.exit(EXIT_FAILED)
    except TyperException as error:
        complain(error.format_message())
        sys.exit(EXIT_BAD_INPUT)
