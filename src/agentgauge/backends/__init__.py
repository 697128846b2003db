"""Where queries go: the embedded database or any Prometheus-compatible server."""
