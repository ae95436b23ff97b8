"""Waiting for a draining backend's last connection."""
