# SPDX-License-Identifier: MIT
"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from glb.ctl import complete
from glb.daemon.log import LogFormat

Interface = Annotated[
    str,
    typer.Option(
        "--iface", autocompletion=complete.host_interfaces, help="The network interface that packets come in by."
    ),
]
ConfigFile = Annotated[Path, typer.Option("--config", help="The director's configuration (JSON).")]
TableFile = Annotated[
    Path,
    typer.Option("--table", help="The forwarding tables: their source (JSON), or the binary made of it."),
]
TableArgument = Annotated[
    Path, typer.Argument(metavar="TABLE", help="A file of forwarding tables: source (JSON) or binary.")
]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the datapath attached, and at work, when the daemon stops.")]
Log = Annotated[LogFormat, typer.Option("--log", help="The log's lines: text, or one JSON object each.")]
