# SPDX-License-Identifier: MIT
"""Whether backends serve: checks, what follows from their results, and what is remembered of it."""
