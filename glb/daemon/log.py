# SPDX-License-Identifier: MIT
"""The daemons' log: one line for each event on standard error. Writing never blocks the daemon."""

import json
import logging
import os
import select
import sys
from collections import deque
from datetime import datetime
from enum import StrEnum

from glb.printable import printable_line, printable_text

_KEPT_LINES = 10_000
_WRITE_BYTES = 4096  # what a pipe that polls as writable takes at once (PIPE_BUF, pipe(7))


class PatientStream:
    """A text stream on a descriptor whose reader may have stopped reading.

    Lines that cannot be written without blocking are kept, the newest _KEPT_LINES of them, and written before the next
    line. A log collector that hangs does not hang the daemon.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._kept: deque[bytes] = deque(maxlen=_KEPT_LINES)

    def write(self, text: str) -> int:
        self._kept.append(text.encode(errors="backslashreplace"))
        self.flush()
        return len(text)

    def flush(self) -> None:
        """Write as much as possible without blocking."""
        while self._kept and self._poll.poll(0):
            data = self._kept.popleft()
            try:
                written = os.write(self._descriptor, data[:_WRITE_BYTES])
            except OSError:  # the reader has gone or the disk is full; the daemon continues
                return
            if written < len(data):
                self._kept.appendleft(data[written:])


class LogFormat(StrEnum):
    """The choices of --log."""

    TEXT = "text"
    JSON = "json"


class TextFormatter(logging.Formatter):
    """Time, level and message in one line, with control characters escaped; a traceback follows on further lines."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {printable_line(record.getMessage())}"
        traceback = _traceback(self, record)
        return f"{line}\n{printable_text(traceback)}" if traceback else line


class JsonFormatter(logging.Formatter):
    """One JSON object for each line, in ASCII: time, level, logger, message, and traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        traceback = _traceback(self, record)
        return json.dumps({**facts, "traceback": traceback} if traceback else facts)


def json_line(level: int, message: str) -> str:
    """A line of the JSON log, for what ends a daemon before or after it logs."""
    return JsonFormatter().format(logging.LogRecord("glb", level, "", 0, message, None, None))


def set_up_logging(log_format: LogFormat = LogFormat.TEXT) -> None:
    """Log to standard error, in the given format."""
    handler = logging.StreamHandler(PatientStream(sys.stderr.fileno()))
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    for chatty in ("pyroute2",):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> str:
    """ISO 8601 in local time with the offset from UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
