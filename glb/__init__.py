# SPDX-License-Identifier: MIT
"""glb: a layer-4 load balancer without a connection table."""

from importlib.metadata import version

__version__ = version("glb")
