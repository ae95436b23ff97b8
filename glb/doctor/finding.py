# SPDX-License-Identifier: MIT
"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ok: nothing to do. warning: works, but slower or not in every case. error: packets are lost, or will be."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """subject: "host", or an interface. check: the check's name. what: what was found. remedy: what to do; "" if ok."""

    subject: str
    check: str
    level: Level
    what: str
    remedy: str = ""
