# SPDX-License-Identifier: MIT
"""Creates the speaker that the configuration selects."""

from pathlib import Path

from glb.config.routing import Routing, SpeakerKind
from glb.routing.bird import OperatorsBird, OwnBird
from glb.routing.exabgp import ExaBgp
from glb.routing.speaker import Speaker


def create_speaker(routing: Routing, folder: Path, name: str) -> Speaker | None:
    """A speaker that is not started yet; its files are `<name>.*` in the folder. None if glb announces no routes."""
    match routing.speaker:
        case SpeakerKind.BIRD if routing.control is not None:
            return OperatorsBird(routing.control, folder / f"{name}.bird.conf")
        case SpeakerKind.BIRD:
            return OwnBird(folder, name)
        case SpeakerKind.EXABGP:
            return ExaBgp(folder, name)
        case SpeakerKind.NONE:
            return None
