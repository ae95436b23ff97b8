"""Keeping a daemon's report true, in memory always and on disk as far as the disk lets it."""

import logging
from typing import Any

from glb.daemon.report import Report, report_path

log = logging.getLogger(__name__)


class Reporter:
    """A daemon's report and its file. Traffic does not depend on the file: if it cannot be written, that is said once
    and tried again."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._failure: str | None = None

    def change(self, **changes: Any) -> None:
        """Change fields of the report, and write it."""
        self.report = self.report.changed(**changes)
        self._write()

    def note(self, **facts: Any) -> None:
        """The same, if one of them is another than it was."""
        if any(getattr(self.report, name) != fact for name, fact in facts.items()):
            self.change(**facts)

    def change_trouble(self, trouble: str | None) -> None:
        """Say what is wrong around the datapath, or that nothing is any more: once, not at each look."""
        if trouble is not None and trouble != self.report.trouble:
            log.error("%s: the datapath stays as it is: %s", self.report.interface, trouble)
        if trouble is None and self.report.trouble is not None:
            log.warning("%s: all is well again after: %s", self.report.interface, self.report.trouble)
        if trouble != self.report.trouble:
            self.change(trouble=trouble)

    def catch_up(self) -> None:
        """Write what could not be written before, or is gone."""
        if self._failure is not None or not report_path(self.report.interface).exists():
            self._write()

    def remove(self) -> None:
        """Remove the file."""
        self.report.remove()

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
