# SPDX-License-Identifier: MIT
"""The versions of the forwarding tables that were loaded: when, by whom, how, and what was in them."""
