# SPDX-License-Identifier: MIT
"""The speaker that a configuration asks for."""

from pathlib import Path

from glb.config.routing import Routing
from glb.config.routing import Speaker as Kind
from glb.routing.bird import OperatorsBird, OwnBird
from glb.routing.exabgp import ExaBgp
from glb.routing.speaker import Speaker


def speaker_for(routing: Routing, folder: Path, name: str) -> Speaker | None:
    """A speaker, not yet started; its files are `<name>.*` in the folder. None where routes are the operator's."""
    match routing.speaker:
        case Kind.BIRD if routing.control is not None:
            return OperatorsBird(routing.control, folder / f"{name}.bird.conf")
        case Kind.BIRD:
            return OwnBird(folder, name)
        case Kind.EXABGP:
            return ExaBgp(folder, name)
        case Kind.NONE:
            return None
