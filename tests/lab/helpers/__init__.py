# SPDX-License-Identifier: MIT
"""What the tests of the lab share: real commands, hand-made packets, daemons with arguments of their own."""
