# SPDX-License-Identifier: MIT
"""SipHash-2-4 against its authors' vectors, and its forms against one another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glb.hashing.siphash import CHUNK, siphash24, siphash24_many
from tests.unit import reference

KEY = bytes(range(16))

# The first of vectors_sip64 in the authors' implementation: the message is 00 01 02 ... of each length.
VECTORS = [
    "310e0edd47db6f72",
    "fd67dc93c539f874",
    "5a4fa9d909806c0d",
    "2d7efbd796666785",
    "b7877127e09427cf",
    "8da699cd64557618",
    "cee3fe586e46c9cb",
    "37d1018bf50002ab",
    "6224939a79f5f593",
    "b0e4a90bdf82009e",
    "f3b9dd94c5bb5d7a",
    "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75",
    "903d84c02756ea14",
    "eef27a8e90ca23f7",
    "e545be4961ca29a1",
]


@pytest.mark.parametrize(("length", "expected"), list(enumerate(VECTORS)))
def test_each_form_gives_the_authors_vectors(length: int, expected: str) -> None:
    message = bytes(range(length))

    many = siphash24_many(KEY, np.frombuffer(message, np.uint8).reshape(1, length))

    assert siphash24(KEY, message).hex() == expected
    assert int(many[0]).to_bytes(8, "little").hex() == expected
    assert reference.siphash(KEY, message).hex() == expected


@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=300))
def test_any_message_hashes_as_the_reference_says(key: bytes, message: bytes) -> None:
    many = siphash24_many(key, np.frombuffer(message * 2, np.uint8).reshape(2, len(message)))

    expected = reference.siphash(key, message)
    assert siphash24(key, message) == expected
    assert many.tolist() == [int.from_bytes(expected, "little")] * 2


def test_messages_beyond_one_chunk_are_hashed_each_by_itself() -> None:
    count = 2 * CHUNK + 1
    messages = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 4)

    hashes = siphash24_many(KEY, messages)

    for i in (0, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK):
        assert int(hashes[i]).to_bytes(8, "little") == siphash24(KEY, i.to_bytes(4, "little"))


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes long, not 15"):
        siphash24(KEY[1:], b"")
