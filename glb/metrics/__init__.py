# SPDX-License-Identifier: MIT
"""Metrics of the daemons for Prometheus and statsd."""
