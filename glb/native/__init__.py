# SPDX-License-Identifier: MIT
"""The C library of the ranking: how it is built and loaded."""
