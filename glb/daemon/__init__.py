# SPDX-License-Identifier: MIT
"""What the two daemons share."""
