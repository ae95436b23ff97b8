"""`glbctl`, what people type."""
