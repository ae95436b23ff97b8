"""The director daemon."""
