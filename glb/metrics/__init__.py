"""What the daemons tell Prometheus and statsd."""
