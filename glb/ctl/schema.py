# SPDX-License-Identifier: MIT
"""`glbctl schema`."""

from importlib import resources
from typing import Annotated

import typer

from glb.config.json_schema import File


def schema_command(file: Annotated[File, typer.Argument(metavar="director|proxy|table", help="Which file.")]) -> None:
    """Print the JSON Schema of director.conf, proxy.conf or forwarding_table.json.

    An editor that knows JSON Schema offers the keys, shows what each one means, and marks mistakes: save the schema
    beside the file, and name it there as `"$schema": "director.schema.json"`. `glbctl check` also checks values
    against each other and against this host.

    glbctl schema director
    """
    typer.echo(read(file), nl=False)


def read(file: File) -> str:
    """The schema of a file as JSON text, as `script/docs` has written it."""
    return (resources.files("glb.config") / "schemas" / f"{file}.schema.json").read_text()
