"""One version of the forwarding tables, and how it is written down."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256

from glb.errors import GlbError


class HistoryError(GlbError):
    """A version cannot be kept, or is not there. The message says which one, and why."""


class How(StrEnum):
    """By which way tables came to be loaded."""

    START = "start"
    EDIT = "edit"
    BACKEND = "backend"
    APPLY = "apply"
    ROLLBACK = "rollback"


NOBODY_KNOWN = "file edited"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who had tables loaded, how, and what for. By default, somebody who edited the file."""

    how: How = How.EDIT
    author: str = NOBODY_KNOWN
    note: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a table file. time: UTC, ISO 8601. digest: SHA-256 of the file."""

    number: int
    time: str
    how: How
    author: str
    note: str
    digest: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A version with the file's content; None for a GLBD binary, of which only the digest is kept."""

    version: Version
    source: str | None


def digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


def encode(kept: Kept) -> bytes:
    return (json.dumps(asdict(kept.version) | {"source": kept.source}, indent=1) + "\n").encode()


def decode(data: bytes, name: str) -> Kept:
    """Raises HistoryError, naming the file, if it is not whole."""
    try:
        fields = json.loads(data)
        source = fields.pop("source")
        version = Version(**{**fields, "how": How(fields["how"])})
        whole = source is None or digest_of(source.encode()) == version.digest
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HistoryError(f"{name}: damaged: {error}") from error
    if not whole:
        raise HistoryError(f"{name}: damaged: the tables are not those of its digest")
    return Kept(version, source)
