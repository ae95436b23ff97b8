# SPDX-License-Identifier: MIT
"""The history of a table file: loaded versions with time, author, cause and content."""
