# SPDX-License-Identifier: MIT
"""The result of a check in a few words, which are the same for every kind of check."""

import errno
import ssl
from dataclasses import dataclass

from glb.printable import printable_line

TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
REFUSED = "refused"
SILENT = frozenset({TIMEOUT, UNREACHABLE})
"""The results of a check that got no answer at all."""

_SHORT = 80

_WORDS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.ETIMEDOUT: TIMEOUT,
}


_LOCAL_FAULTS = {
    errno.EMFILE: "no file descriptor left",
    errno.ENFILE: "no file descriptor left on this host",
    errno.ENOMEM: "no memory left",
    errno.ENOBUFS: "no buffer left for packets",
    errno.EADDRNOTAVAIL: "no source port left, or no source address",
    errno.EADDRINUSE: "no source port left",
    errno.EPERM: "refused by this host, for example by a firewall rule",
    errno.EACCES: "refused by this host, for example by a route of type prohibit",
}
"""What this host lacks or forbids: such an error says nothing about the backend."""


@dataclass(frozen=True, slots=True)
class Result:
    """Whether a check passed, and what it found.

    counts: false if this host could not make the check; the result then says nothing about the backend.
    """

    passed: bool
    found: str
    counts: bool = True


def short(text: str) -> str:
    """Text that may have come from a backend, as one line of at most _SHORT characters."""
    line = printable_line(" ".join(text.split()))
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 3]}..."


def failure(error: Exception) -> Result:
    """The result for an error of the system or of TLS."""
    if isinstance(error, TimeoutError):
        return Result(False, TIMEOUT)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Result(False, f"certificate: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Result(False, short(f"TLS: {error.reason or error}"))
    if isinstance(error, MemoryError):
        return Result(False, _LOCAL_FAULTS[errno.ENOMEM], counts=False)
    if isinstance(error, OSError) and error.errno in _LOCAL_FAULTS:
        return Result(False, _LOCAL_FAULTS[error.errno], counts=False)
    if isinstance(error, OSError) and error.errno is not None:
        return Result(False, _WORDS.get(error.errno, error.strerror or str(error)))
    return Result(False, short(str(error)) or type(error).__name__)
