# SPDX-License-Identifier: MIT
"""The author of the next change of a table file, written before the file is replaced.

Each director that follows the file notices the change independently, perhaps before the command that made it has
finished, or after that command was killed. The declaration gives all of them the author.
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
    """Write the author of the file's next content, replacing an earlier declaration. Raises HistoryError."""
    path = folder / _NAME
    fields = asdict(origin) | {"file_digest": file_digest_of(data)}
    try:
        replace_file(path, json.dumps(fields).encode())
    except OSError as error:
        raise HistoryError(f"{path}: cannot be written: {error.strerror}") from error


def declared(folder: Path, data: bytes) -> Origin | None:
    """The declared origin of this content, if any."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        fields = json.loads((folder / _NAME).read_bytes())
        if fields.pop("file_digest") == file_digest_of(data):
            return Origin(**{**fields, "how": LoadCause(fields["how"])})
    return None


def withdraw(folder: Path) -> None:
    """Remove the declaration after its use, or if the change failed."""
    with suppress(OSError):
        (folder / _NAME).unlink()
