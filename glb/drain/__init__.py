# SPDX-License-Identifier: MIT
"""Waiting for a draining backend's last connection."""
