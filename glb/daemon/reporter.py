# SPDX-License-Identifier: MIT
"""A daemon's report of itself: in memory always, on disk as far as the disk permits."""

import logging
from contextlib import suppress
from typing import Any

from glb.daemon.lane import Lane
from glb.daemon.report import Report, report_path
from glb.errors import LaneClosedError

log = logging.getLogger(__name__)

_REMOVE_SECONDS = 1.0


class Reporter:
    """A daemon's report and its file, which a lane of its own writes: traffic does not wait for a disk.

    If the file cannot be written, that is logged once and tried again.
    """

    def __init__(self, report: Report, lane: Lane) -> None:
        self.report = report
        self._lane = lane
        self._failure: str | None = None

    def change(self, **changes: Any) -> None:
        """Change fields of the report, and have it written."""
        self.report = self.report.changed(**changes)
        self._lane.post_once("status file", self._write)

    def note(self, **facts: Any) -> None:
        """The same, if one of them is another than it was."""
        if any(getattr(self.report, name) != fact for name, fact in facts.items()):
            self.change(**facts)

    def change_trouble(self, trouble: str | None) -> None:
        """Report what keeps the datapath from following, or that nothing does any more: once, not at each refresh."""
        if trouble is not None and trouble != self.report.trouble:
            log.error("%s: the datapath stays as it is: %s", self.report.interface, trouble)
        if trouble is None and self.report.trouble is not None:
            log.warning("%s: all is well again after: %s", self.report.interface, self.report.trouble)
        if trouble != self.report.trouble:
            self.change(trouble=trouble)

    def catch_up(self) -> None:
        """Write what could not be written before, or is gone."""
        self._lane.post_once("status file", self._write_missing)

    def remove(self) -> None:
        """Remove the file, after all that is to be written."""
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
                log.error("%s: the status is not written, traffic goes on: %s", self.report.interface, failure)
            self._failure = failure
        else:
            if self._failure is not None:
                log.warning("%s: the status is written again", self.report.interface)
            self._failure = None
