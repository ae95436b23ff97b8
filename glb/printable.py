# SPDX-License-Identifier: MIT
"""Text from elsewhere, made safe for a terminal and for a log of one line per event."""

import re

_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Control characters C0 and C1 (ECMA-48) but tab and newline; Unicode's separators of lines and paragraphs, and
characters that change the direction of writing."""

_UNSAFE_LINE = re.compile(f"[\t\n{_UNSAFE}]")
_UNSAFE_TEXT = re.compile(f"[{_UNSAFE}]")


def printable_line(text: str) -> str:
    """The text as one line: control characters, newlines included, as Python writes them (`\\x1b`, `\\n`)."""
    return _UNSAFE_LINE.sub(_escape, text)


def printable_text(text: str) -> str:
    """The text with its lines and tabs as they are, and other control characters as in `printable_line`."""
    return _UNSAFE_TEXT.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
