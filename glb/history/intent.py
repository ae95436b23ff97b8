# SPDX-License-Identifier: MIT
"""Who is about to change a table file, and why: written down before the file is replaced.

Every director that follows the file sees the change by itself, perhaps before the command that made it has finished,
or after that command was killed. By the announcement each of them knows whose change it is.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from glb.errors import HistoryError
from glb.files import replace_file
from glb.history.version import LoadCause, Origin, file_digest_of

_NAME = "announced.json"


def declare(folder: Path, data: bytes, origin: Origin) -> None:
    """Say whose the file's next content is, in the place of what was said before. Raises HistoryError."""
    path = folder / _NAME
    fields = asdict(origin) | {"file_digest": file_digest_of(data)}
    try:
        replace_file(path, json.dumps(fields).encode())
    except OSError as error:
        raise HistoryError(f"{path}: cannot be written: {error.strerror}") from error


def declared(folder: Path, data: bytes) -> Origin | None:
    """Whose change led to this content, if that was declared."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        fields = json.loads((folder / _NAME).read_bytes())
        if fields.pop("file_digest") == file_digest_of(data):
            return Origin(**{**fields, "how": LoadCause(fields["how"])})
    return None


def withdraw(folder: Path) -> None:
    """Forget the announcement: it has served, or nothing came of it."""
    with suppress(OSError):
        (folder / _NAME).unlink()
