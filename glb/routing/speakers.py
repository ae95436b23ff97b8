# SPDX-License-Identifier: MIT
"""The speaker that a configuration asks for."""

from pathlib import Path

from glb.config.routing import Routing, SpeakerKind
from glb.routing.bird import OperatorsBird, OwnBird
from glb.routing.exabgp import ExaBgp
from glb.routing.speaker import Speaker


def speaker_for(routing: Routing, folder: Path, name: str) -> Speaker | None:
    """A speaker, not yet started; its files are `<name>.*` in the folder. None where routes are the operator's."""
    match routing.speaker:
        case SpeakerKind.BIRD if routing.control is not None:
            return OperatorsBird(routing.control, folder / f"{name}.bird.conf")
        case SpeakerKind.BIRD:
            return OwnBird(folder, name)
        case SpeakerKind.EXABGP:
            return ExaBgp(folder, name)
        case SpeakerKind.NONE:
            return None
