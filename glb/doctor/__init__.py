# SPDX-License-Identifier: MIT
"""`glbctl doctor`: whether this host is fit for glb, and whether its daemons follow their files."""
