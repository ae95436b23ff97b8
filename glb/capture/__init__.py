# SPDX-License-Identifier: MIT
"""Captures of packets as received and as they leave, with the verdict."""
