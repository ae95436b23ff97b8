# SPDX-License-Identifier: MIT
"""BPF: compile, load, fill, attach, pin, count."""
