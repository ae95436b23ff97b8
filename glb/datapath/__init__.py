# SPDX-License-Identifier: MIT
"""All that touches BPF: compile, load, fill, attach, pin, count."""
