# SPDX-License-Identifier: MIT
"""How large forwarding tables may be. Their cost is in docs/tables.md."""

MAX_NAMESPACES = 8
"""Whose sockets a proxy searches beside its own."""
MAX_TABLES = 4096
MAX_BACKENDS_PER_TABLE = 10_000
MAX_BACKENDS = 65_536
"""Of all tables; a backend of several tables counts in each."""
MAX_BINDS = 65_536
"""Of all tables."""
