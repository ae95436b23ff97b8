# SPDX-License-Identifier: MIT
"""The root of glb's errors: each subject has one type below it."""


class GlbError(Exception):
    """Something a user can mend. The message says what is wrong, where, and what to do about it."""
