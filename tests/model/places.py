# SPDX-License-Identifier: MIT
"""Who is who in the tests' frames, and the least configuration."""

from typing import Any

DIRECTOR_MAC = "02:00:00:00:00:01"
GATEWAY_MAC = "02:00:00:00:00:fe"
CONFIG: dict[str, Any] = {"outbound_gateway_mac": GATEWAY_MAC, "outbound_src_ip": "10.0.0.1"}
LEAST_FRAME = 14  # the kernel runs nothing shorter
