# SPDX-License-Identifier: MIT
"""Keeps a daemon's report in memory, and its status file up to date as far as the disk permits."""

import logging
from contextlib import suppress
from typing import Any

from glb.daemon.lane import Lane
from glb.daemon.report import Report, report_path
from glb.errors import LaneClosedError

log = logging.getLogger(__name__)

_REMOVE_SECONDS = 1.0


class Reporter:
    """A daemon's report and its status file. The lane `reports` writes it, so that traffic never waits for a disk.

    A failure to write is logged once, and the file is written later.
    """

    def __init__(self, report: Report, lane: Lane) -> None:
        self.report = report
        self._lane = lane
        self._failure: str | None = None

    def change(self, **changes: Any) -> None:
        """Change fields of the report, and write it."""
        self.report = self.report.changed(**changes)
        self._lane.post_once("status file", self._write)

    def note(self, **facts: Any) -> None:
        """Change fields of the report, and write it if one of them differs."""
        if any(getattr(self.report, name) != fact for name, fact in facts.items()):
            self.change(**facts)

    def change_trouble(self, trouble: str | None) -> None:
        """Log and report why the datapath cannot be updated, or that it can again; once, not at each refresh."""
        if trouble is not None and trouble != self.report.trouble:
            log.error("%s: the datapath cannot be updated: %s", self.report.interface, trouble)
        if trouble is None and self.report.trouble is not None:
            log.warning("%s: recovered from: %s", self.report.interface, self.report.trouble)
        if trouble != self.report.trouble:
            self.change(trouble=trouble)

    def catch_up(self) -> None:
        """Write the file if it is missing, or if the last attempt failed."""
        self._lane.post_once("status file", self._write_missing)

    def remove(self) -> None:
        """Remove the file after all pending writes."""
        with suppress(TimeoutError, LaneClosedError):
            self._lane.call("status file", self.report.remove, _REMOVE_SECONDS)

    def _write_missing(self) -> None:
        if self._failure is not None or not report_path(self.report.interface).exists():
            self._write()

    def _write(self) -> None:
        try:
            self.report.write()
        except OSError as error:
            failure = f"{error.filename}: {error.strerror}"
            if failure != self._failure:
                log.error("%s: cannot write the status file; forwarding continues: %s", self.report.interface, failure)
            self._failure = failure
        else:
            if self._failure is not None:
                log.warning("%s: the status file is written again", self.report.interface)
            self._failure = None
