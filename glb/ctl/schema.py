# SPDX-License-Identifier: MIT
"""`glbctl schema`."""

from importlib import resources
from typing import Annotated

import typer

from glb.config.json_schema import File


def schema_command(file: Annotated[File, typer.Argument(metavar="director|proxy|table", help="Which file.")]) -> None:
    """Print the JSON Schema of director.conf, proxy.conf or forwarding_table.json.

    An editor that supports JSON Schema offers the keys, shows their meaning, and marks mistakes. Save the schema
    beside the file, and name it in the file: `"$schema": "director.schema.json"`. `glbctl check` also compares values
    with each other and with this host.

    glbctl schema director
    """
    typer.echo(read(file), nl=False)


def read(file: File) -> str:
    """The schema of a file as JSON text, as `script/docs` has written it."""
    return (resources.files("glb.config") / "schemas" / f"{file}.schema.json").read_text()
