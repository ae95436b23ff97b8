# SPDX-License-Identifier: MIT
"""Forwarding tables: built from a source, kept as a GLBD binary, looked up in, compared."""
