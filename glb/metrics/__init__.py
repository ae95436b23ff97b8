# SPDX-License-Identifier: MIT
"""What the daemons tell Prometheus and statsd."""
