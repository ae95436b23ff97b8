# SPDX-License-Identifier: MIT
"""What becomes of one client's packets: asked of the files, and of the programs that are attached."""
