# SPDX-License-Identifier: MIT
"""A file that is to be written, as a value. Pure."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NewFile:
    """mode: its permissions. What others may not read belongs to the group glb, where there is one."""

    path: Path
    text: str
    mode: int = 0o644
