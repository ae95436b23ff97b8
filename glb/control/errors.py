# SPDX-License-Identifier: MIT
"""The errors of this folder."""

from glb.errors import GlbError


class ControlError(GlbError):
    """A daemon cannot be reached, has refused, or cannot listen. The message says which one or where, and why."""


class BadRequest(GlbError):
    """A request does not hold what its route requires. The message names each input, one a line."""


class InputRefused(ControlError):
    """A daemon has refused what it was given as not valid: a bad file, an unknown table or address, an illegal move."""
