# SPDX-License-Identifier: MIT
"""Forwarding tables: build, GLBD binary, lookup, comparison."""
