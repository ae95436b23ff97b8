# SPDX-License-Identifier: MIT
"""Who has changed the tables."""

import pytest
from pydantic import ValidationError

from glb.director.api_tables import WithAuthor


@pytest.mark.parametrize(
    ("peer", "claimed", "author"),
    [
        ("root", None, "root"),
        ("root", "alice", "alice"),
        ("bob", None, "bob"),
        ("bob", "alice", "bob"),
        (None, "alice", "alice"),
        (None, None, "unknown"),
    ],
)
def test_only_root_may_name_another_author(peer: str | None, claimed: str | None, author: str) -> None:
    assert WithAuthor(author=claimed).name_of(peer) == author


@pytest.mark.parametrize("field", ["author", "note"])
def test_only_valid_text_enters_the_history(field: str) -> None:
    with pytest.raises(ValidationError, match="valid string"):
        WithAuthor.model_validate({field: "\ud800"})
