# SPDX-License-Identifier: MIT
"""The store of versions: one file each, written atomically; the oldest are removed when space is needed.

$GLB_STATE_DIR/history, or /var/lib/glb/history, has a directory for each table file that a director follows. Daemons
that follow the same file share it: each change is one version, written by the first daemon that loads it.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path

from glb.config.parse import GLBD_MAGIC
from glb.errors import HistoryError, LockError
from glb.files import replace_file
from glb.history.intent import declare, declared, withdraw
from glb.history.version import LoadCause, Origin, Version, VersionContent, decode, encode, file_digest_of
from glb.locks import acquire
from glb.paths import state_dir

KEPT = 100
"""The largest number of versions; fewer are kept if they exceed `KEPT_BYTES`."""

KEPT_BYTES = 64 << 20

_OVERTAKEN = 4
"""The number of recent versions searched for content that a slower daemon loaded: daemons may load the same file
seconds apart."""

_NAME = re.compile(r"[0-9]{6,}\.json")


@dataclass(frozen=True, slots=True)
class Listing:
    """versions: those that can be read, the newest first. damaged: the faults of the others."""

    versions: list[Version]
    damaged: list[str]


class History:
    """The versions of one table file."""

    def __init__(self, folder: Path, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        self.folder = folder
        self._kept = kept
        self._kept_bytes = kept_bytes

    @classmethod
    def of(cls, table: Path) -> "History":
        """The history of a table file of this host.

        A symbolic link has its own history, independent of its target: each new target is the next version.
        """
        path = Path(os.path.realpath(table.parent)) / table.name
        return cls(state_dir() / "history" / f"{path.stem}-{sha256(str(path).encode()).hexdigest()[:12]}")

    def declare(self, data: bytes, origin: Origin) -> None:
        """Declare the author of the file's next content, before the file is replaced. Raises HistoryError."""
        with self._locked():
            declare(self.folder, data, origin)

    def record(self, data: bytes, digest: str, origin: Origin, read_at: str | None = None) -> Version:
        """Save a file's content as the newest version, unless it equals the newest version; versions are never
        rewritten.

        digest: of its tables. An origin of an edit or a start is replaced by the declared one, if any. read_at: the
        time at which the file had this content, as in versions; if another daemon has since recorded this content and a
        later one, nothing is added. Raises HistoryError if it cannot be saved.
        """
        with self._locked():
            recent = list(islice(self._readable(), _OVERTAKEN))
            is_overtaken = bool(recent) and read_at is not None and recent[0].version.time > read_at
            for kept in recent if is_overtaken else recent[:1]:
                if kept.file_digest == file_digest_of(data):
                    return kept.version
            known = declared(self.folder, data) if origin.how in (LoadCause.EDIT, LoadCause.START) else None
            version = self._add(data, digest, known or origin)
            withdraw(self.folder)
            return version

    def listing(self) -> Listing:
        """All versions. Every file is read completely; many large ones take a second or more."""
        listing = Listing([], [])
        for number in self._numbers():
            try:
                listing.versions.append(self.read(number).version)
            except HistoryError as error:
                if self._path(number).exists():  # otherwise it was removed meanwhile
                    listing.damaged.append(str(error))
        return listing

    def read(self, number: int) -> VersionContent:
        """One version with its content. Raises HistoryError if it does not exist or is damaged."""
        path = self._path(number)
        try:
            return decode(path.read_bytes(), str(path))
        except FileNotFoundError:
            raise HistoryError(f"there is no version {number}; {self._range()}") from None
        except OSError as error:
            raise HistoryError(f"{path}: {error.strerror}") from error

    def before(self, data: bytes) -> VersionContent:
        """The newest version with another content than this. Raises HistoryError if there is none."""
        digest = file_digest_of(data)
        for kept in self._readable():
            if kept.file_digest != digest:
                return kept
        raise HistoryError(f"{self.folder}: no version is kept but the one that is loaded")

    def _add(self, data: bytes, digest: str, origin: Origin) -> Version:
        number = max(self._numbers(), default=0) + 1
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        version = Version(number, time, origin.how, origin.author, origin.note, digest)
        self._remove_oldest()
        source = None if data.startswith(GLBD_MAGIC) else data.decode()
        self._write(VersionContent(version, source, file_digest_of(data)))
        return version

    def _write(self, kept: VersionContent) -> None:
        path = self._path(kept.version.number)
        try:
            replace_file(path, encode(kept))
        except OSError as error:
            raise HistoryError(f"{path}: the version cannot be saved: {error.strerror}") from error

    def _remove_oldest(self) -> None:
        """Make room for one version; also remove files that a killed process left unfinished. Raises HistoryError."""
        try:
            for path in (*self.folder.glob(".*.tmp"), *self._surplus()):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise HistoryError(f"{error.filename}: an old version cannot be removed: {error.strerror}") from error

    def _surplus(self) -> Iterator[Path]:
        """The versions that exceed the limits, with one more version to come."""
        size = 0
        for position, number in enumerate(self._numbers(), start=1):  # the newest first
            path = self._path(number)
            size += path.stat().st_size
            if position >= self._kept or size > self._kept_bytes:
                yield path

    def _readable(self) -> Iterator[VersionContent]:
        for number in self._numbers():
            with contextlib.suppress(HistoryError):
                yield self.read(number)

    def _numbers(self) -> list[int]:
        """The numbers of the versions, the newest first."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HistoryError(f"{self.folder}: {error.strerror}") from error
        return sorted((int(name.removesuffix(".json")) for name in names if _NAME.fullmatch(name)), reverse=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"

    def _range(self) -> str:
        numbers = self._numbers()
        return f"there are {numbers[-1]} to {numbers[0]}" if numbers else "there is none yet"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"{self.folder}: no version can be saved: {error.strerror}") from error
        try:
            descriptor = acquire(self.folder, f"versions in {self.folder}")
        except LockError as error:
            raise HistoryError(str(error)) from error
        try:
            yield
        finally:
            os.close(descriptor)
