# SPDX-License-Identifier: MIT
"""First configuration of a host: glb's own files, and what a proxy's network needs."""
