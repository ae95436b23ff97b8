# SPDX-License-Identifier: MIT
"""Meaning, usual causes and remedy of each verdict and warning."""
