# SPDX-License-Identifier: MIT
"""Showing packets as they come in and as they leave, with what the datapath made of them."""
