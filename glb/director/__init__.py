# SPDX-License-Identifier: MIT
"""The director daemon."""
