# SPDX-License-Identifier: MIT
"""What the bench says while it works: on stderr, so that stdout holds results alone."""

import sys
from collections.abc import Callable

Progress = Callable[[str], None]


def to_stderr(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
