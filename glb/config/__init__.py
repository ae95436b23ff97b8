# SPDX-License-Identifier: MIT
"""The JSON files: their model, their validation, and atomic edits of them."""
