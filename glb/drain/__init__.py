# SPDX-License-Identifier: MIT
"""Wait for the last connection of a draining backend."""
