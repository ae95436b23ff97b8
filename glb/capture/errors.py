# SPDX-License-Identifier: MIT
"""The one error type of this folder."""

from glb.errors import GlbError


class CaptureError(GlbError):
    """A capture cannot be made, or its filter means nothing. The message says why."""
