# SPDX-License-Identifier: MIT
"""Who changes the tables: told by the connection, and for root by what it says."""

from typing import Annotated

from pydantic import BaseModel, Field

from glb.control.peer import peer_of
from glb.control.routes import From

_ROOT = "root"


Peer = Annotated[str | None, From(peer_of)]
"""The user who asks; None where the connection does not tell."""


class By(BaseModel):
    """Who changes the tables, and what for."""

    author: str | None = Field(
        None, max_length=200, description="For whom root acts. Others are known by their connection."
    )
    note: str = Field("", max_length=1 << 16, description="Kept with the version.")

    def name_of(self, peer: str | None) -> str:
        """The author's name as the history has it."""
        if peer in (None, _ROOT) and self.author:
            return self.author
        return peer or "unknown"
