# SPDX-License-Identifier: MIT
"""The one error type of this folder."""

from glb.errors import GlbError


class AgentError(GlbError):
    """A proxy's agent does not answer, or refuses to. The message says which one, and why."""
