# SPDX-License-Identifier: MIT
"""The one error type of this folder."""

from glb.errors import GlbError


class NetworkError(GlbError):
    """Something of the host's network is not as it must be. The message says what, and what there is."""
