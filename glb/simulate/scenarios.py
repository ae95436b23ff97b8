# SPDX-License-Identifier: MIT
"""Scenarios by the name of an included one, or by file."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from glb.config.field import raise_any
from glb.config.json_files import read_text
from glb.config.json_text import parse_json
from glb.config.parse import validate
from glb.errors import ConfigError
from glb.simulate.check import find_problems
from glb.simulate.model import Scenario
from glb.simulate.schema import ScenarioSource

_SUFFIX = ".json"
_FOLDER = files(__package__) / "scenarios"


def names() -> list[str]:
    """The names of the included scenarios, sorted."""
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in _FOLDER.iterdir() if entry.name.endswith(_SUFFIX))


def source(name: str) -> str:
    """The JSON of an included scenario. Raises ConfigError if there is none of this name."""
    if name not in names():
        close = get_close_matches(name, names(), n=1)
        hint = (
            f'did you mean "{close[0]}"?'
            if close
            else "`glbctl simulate --list` lists them; a custom scenario is a JSON file"
        )
        raise ConfigError(f'no scenario "{name}"; {hint}')
    return (_FOLDER / f"{name}{_SUFFIX}").read_text()


def find(name: str) -> Scenario:
    """An included scenario, or the one in the file of this name. Raises ConfigError."""
    path = Path(name)
    if name not in names() and (path.suffix == _SUFFIX or path.exists()):
        return parse(read_text(path), name, path.stem)
    return parse(source(name), f"{name}{_SUFFIX}", name)


def parse(text: str, file: str, name: str) -> Scenario:
    """Validate a scenario; `file` is for the messages. Raises ConfigError."""
    scenario = validate(ScenarioSource, parse_json(text, file), file).to_model(name)
    raise_any(file, find_problems(scenario))
    return scenario
