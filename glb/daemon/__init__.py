# SPDX-License-Identifier: MIT
"""Shared by the two daemons: lanes, log, readiness, signals, status files."""
