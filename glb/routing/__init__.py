# SPDX-License-Identifier: MIT
"""Announces the VIPs by BGP, with BIRD or ExaBGP as the speaker."""
