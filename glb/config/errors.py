# SPDX-License-Identifier: MIT
"""The one error of the configuration: a list of problems, one line each."""

from collections.abc import Iterable

from glb.errors import GlbError


class ConfigError(GlbError):
    """A file that cannot be used, or an edit that must not be made.

    `problems` holds every problem found, each as `file: field: what is wrong`; str() is one line each.
    """

    problems: tuple[str, ...]

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))
