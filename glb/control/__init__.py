# SPDX-License-Identifier: MIT
"""The control socket: HTTP and JSON between a daemon and those who steer it."""
