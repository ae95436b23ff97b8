# SPDX-License-Identifier: MIT
"""`glbctl`, what people type."""
