"""What a check found, in few words: the same ones for every kind of check."""

import errno
import ssl
from dataclasses import dataclass

TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
REFUSED = "refused"
SILENT = frozenset({TIMEOUT, UNREACHABLE})
"""Found where nobody has answered at all."""

_WORDS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.ETIMEDOUT: TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Result:
    """Whether a check passed, and what it found."""

    passed: bool
    found: str


def failure(error: Exception) -> Result:
    """What an error of the system or of TLS says, in the words of `found`."""
    if isinstance(error, TimeoutError):
        return Result(False, TIMEOUT)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Result(False, f"certificate: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Result(False, f"TLS: {error.reason or error}")
    if isinstance(error, OSError) and error.errno is not None:
        return Result(False, _WORDS.get(error.errno, error.strerror or str(error)))
    return Result(False, str(error) or type(error).__name__)
