# SPDX-License-Identifier: MIT
"""The one error type of this folder."""

from glb.errors import GlbError


class HealthError(GlbError):
    """Health cannot be checked, set or told as asked for. The message says what stands in the way."""
