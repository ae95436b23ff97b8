# SPDX-License-Identifier: MIT
"""A version of the forwarding tables, and its file format (JSON)."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from glb.config.parse import parse_tables
from glb.errors import ConfigError, HistoryError
from glb.table.digest import digest_of_source


class LoadCause(StrEnum):
    """What caused tables to be loaded."""

    START = "start"
    EDIT = "edit"
    BACKEND = "backend"
    APPLY = "apply"
    ROLLBACK = "rollback"


UNKNOWN_AUTHOR = "file edited"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused a load, by which command, and why. The default is an edit of the file by an unknown author."""

    how: LoadCause = LoadCause.EDIT
    author: str = UNKNOWN_AUTHOR
    note: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a table file. time: UTC, ISO 8601. digest: of its tables (`glb.table.digest`)."""

    number: int
    time: str
    how: LoadCause
    author: str
    note: str
    digest: str


@dataclass(frozen=True, slots=True)
class VersionContent:
    """A version with its content. source: None for a GLBD binary, of which only the digests are kept.

    file_digest: SHA-256 of the file's bytes; it detects damaged versions and changed files.
    """

    version: Version
    source: str | None
    file_digest: str


def file_digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


def encode(kept: VersionContent) -> bytes:
    fields = asdict(kept.version) | {"file_digest": kept.file_digest, "source": kept.source}
    return (json.dumps(fields, indent=1) + "\n").encode()


def decode(data: bytes, name: str) -> VersionContent:
    """Decode a version's file. Raises HistoryError, which names the file, if it is damaged."""
    try:
        fields = json.loads(data)
        source = fields.pop("source")
        if "file_digest" not in fields:
            fields = _of_earlier_release(fields, source)
        file_digest = fields.pop("file_digest")
        version = Version(**{**fields, "how": LoadCause(fields["how"])})
        whole = source is None or file_digest_of(source.encode()) == file_digest
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HistoryError(f"{name}: damaged: {error}") from error
    if not whole:
        raise HistoryError(f"{name}: damaged: the content does not match its digest")
    return VersionContent(version, source, file_digest)


def _of_earlier_release(fields: dict[str, Any], source: str | None) -> dict[str, Any]:
    """Releases up to 0.1.0 wrote the file's digest as `digest`. The digest of the tables is computed from the source,
    if it is still valid."""
    digest = fields["digest"]
    with suppress(ConfigError):
        if source is not None:
            digest = digest_of_source(parse_tables(source, "source"))
    return {**fields, "file_digest": fields["digest"], "digest": digest}
