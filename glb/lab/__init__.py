# SPDX-License-Identifier: MIT
"""The lab: client, router, directors and proxies in network namespaces of one machine."""

from glb.errors import LabError
from glb.lab.lab import DEFAULT_NAME, Lab

__all__ = ["DEFAULT_NAME", "Lab", "LabError"]
