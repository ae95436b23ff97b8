# SPDX-License-Identifier: MIT
"""The reference model: what docs/datapath.md says, in plain Python, and the proof that the programs do just that."""
