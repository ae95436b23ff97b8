# SPDX-License-Identifier: MIT
"""The load generator's reports to its parent, one JSON object per line."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class RequestOutcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    """No connection was made, or the answer was wrong."""
    CUT = "cut"
    """A connection that was made ended early, stalled, or carried wrong bytes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The first bytes of an answer have arrived."""

    number: int
    client: str
    proxy: str
    target: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A connection has ended. `proxy` is empty if none answered; `reason` is why the outcome is not ok."""

    number: int
    client: str
    proxy: str
    target: str
    outcome: RequestOutcome
    reason: str
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The last line of a run: totals."""

    requests: int = 0
    failed: int = 0
    cut: int = 0
    bytes: int = 0

    @property
    def flawless(self) -> bool:
        return self.failed == 0 and self.cut == 0

    def with_request(self, finished: Finished) -> "Summary":
        return self + Summary(
            requests=1,
            failed=finished.outcome is RequestOutcome.FAILED,
            cut=finished.outcome is RequestOutcome.CUT,
            bytes=finished.bytes,
        )

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(
            self.requests + other.requests,
            self.failed + other.failed,
            self.cut + other.cut,
            self.bytes + other.bytes,
        )


LoadEvent = Opened | Finished | Summary

_KINDS: dict[str, type[Opened] | type[Finished] | type[Summary]] = {
    "opened": Opened,
    "finished": Finished,
    "summary": Summary,
}


def to_line(event: LoadEvent) -> str:
    return json.dumps({"event": type(event).__name__.lower(), **asdict(event)})


def from_line(line: str) -> LoadEvent:
    """Raises ValueError if the line is not an event."""
    fields: dict[str, Any] = json.loads(line)
    kind = _KINDS[fields.pop("event")]
    if kind is Finished:
        fields["outcome"] = RequestOutcome(fields["outcome"])
    return kind(**fields)
