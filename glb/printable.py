# SPDX-License-Identifier: MIT
"""Text for people: from other hosts and files, made safe for terminals and logs; numbers with their nouns."""

import re

_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Control characters C0 and C1 (ECMA-48) except tab and newline; Unicode's separators of lines and paragraphs, and
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


def plural(number: int, noun: str) -> str:
    """A number with its noun, such as "1 row" or "2,000 rows"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
