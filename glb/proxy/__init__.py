# SPDX-License-Identifier: MIT
"""The proxy daemon."""
