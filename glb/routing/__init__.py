# SPDX-License-Identifier: MIT
"""Announcing the VIPs by BGP, on a speaker that exists: BIRD or ExaBGP."""
