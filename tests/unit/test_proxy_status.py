# SPDX-License-Identifier: MIT
"""What `glbctl proxy status` shows of handshakes."""

import pytest

from glb.ctl.status import handshakes


@pytest.mark.parametrize(
    ("packets", "shown"),
    [
        ({}, "none yet"),
        (
            {"taken_syn": 1000, "taken_handshake": 900, "taken_syncookie": 50},
            "950 of 1,000 SYNs completed by an ACK (95%)",
        ),
        ({"taken_syn": 10, "taken_handshake": 12}, "10 of 10 SYNs completed by an ACK (100%)"),
        (
            {"taken_syn": 1000, "taken_handshake": 10},
            "10 of 1,000 SYNs completed by an ACK (1%); `glbctl explain taken_handshake`",
        ),
        ({"taken_syn": 7}, "0 of 7 SYNs completed by an ACK (0%); `glbctl explain taken_handshake`"),
    ],
)
def test_syns_that_no_ack_follows_show(packets: dict[str, int], shown: str) -> None:
    assert str(handshakes(packets)) == shown
