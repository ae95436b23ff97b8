# SPDX-License-Identifier: MIT
"""Simulation of connections while directors and backends change: glb and other load balancers."""
