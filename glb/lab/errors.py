# SPDX-License-Identifier: MIT
"""The lab's one error type."""

from glb.errors import GlbError


class LabError(GlbError):
    """The lab could not be brought up, found, used or taken down. The message says what to do."""
