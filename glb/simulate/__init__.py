# SPDX-License-Identifier: MIT
"""What becomes of connections while directors and backends come and go: glb and others, simulated."""
