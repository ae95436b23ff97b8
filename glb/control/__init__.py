# SPDX-License-Identifier: MIT
"""HTTP and JSON APIs of the daemons: control socket, TCP listeners, and their clients."""
