# SPDX-License-Identifier: MIT
"""Where versions are kept: one file each, written whole or not at all, the oldest ones given up in time.

$GLB_STATE_DIR/history, or /var/lib/glb/history, has a folder for each table file that a director follows. Daemons that
follow the same file share it: each change is one version, whoever comes first to write it down.
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
"""Versions that are kept at most, "KEPT_BYTES" permitting."""

KEPT_BYTES = 64 << 20

_OVERTAKEN = 4
"""Versions among which an overtaken content is looked up: daemons may load the same file seconds apart."""

_NAME = re.compile(r"[0-9]{6,}\.json")


@dataclass(frozen=True, slots=True)
class Listing:
    """The versions that can be read, the newest first, and what is wrong with the others' files."""

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

        That of a link is its own, whatever it leads to: each new release of the tables is the next version.
        """
        path = Path(os.path.realpath(table.parent)) / table.name
        return cls(state_dir() / "history" / f"{path.stem}-{sha256(str(path).encode()).hexdigest()[:12]}")

    def declare(self, data: bytes, origin: Origin) -> None:
        """Say whose change the file's next content is, before the file is replaced. Raises HistoryError."""
        with self._locked():
            declare(self.folder, data, origin)

    def record(self, data: bytes, digest: str, origin: Origin, read_at: str | None = None) -> Version:
        """Keep a file's content as the newest version, unless it is that already; a version is not renamed later.

        digest: of its tables. An origin that only says that the file has changed (an edit, a start) is replaced by what
        was declared. read_at: when the file had this content, as versions have their time; if another daemon has
        recorded it and, since then, what came after it, nothing is added. Raises HistoryError if it cannot be kept.
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
        """All versions. Each file is read as a whole, so many large ones take a second or more."""
        listing = Listing([], [])
        for number in self._numbers():
            try:
                listing.versions.append(self.read(number).version)
            except HistoryError as error:
                if self._path(number).exists():  # else it was given up meanwhile
                    listing.damaged.append(str(error))
        return listing

    def read(self, number: int) -> VersionContent:
        """One version with its content. Raises HistoryError if it is not there, or damaged."""
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
        self._give_up_oldest()
        source = None if data.startswith(GLBD_MAGIC) else data.decode()
        self._write(VersionContent(version, source, file_digest_of(data)))
        return version

    def _write(self, kept: VersionContent) -> None:
        path = self._path(kept.version.number)
        try:
            replace_file(path, encode(kept))
        except OSError as error:
            raise HistoryError(f"{path}: the version cannot be kept: {error.strerror}") from error

    def _give_up_oldest(self) -> None:
        """Make room for one more. What a killed process left half-written goes, too. Raises HistoryError."""
        try:
            for path in (*self.folder.glob(".*.tmp"), *self._surplus()):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise HistoryError(f"{error.filename}: an old version cannot be removed: {error.strerror}") from error

    def _surplus(self) -> Iterator[Path]:
        """The versions for which there is no room beside one more."""
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
        """The newest first."""
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
        return f"there are {numbers[-1]} to {numbers[0]}" if numbers else "none is kept yet"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"{self.folder}: no version can be kept: {error.strerror}") from error
        try:
            descriptor = acquire(self.folder, f"versions in {self.folder}")
        except LockError as error:
            raise HistoryError(str(error)) from error
        try:
            yield
        finally:
            os.close(descriptor)
