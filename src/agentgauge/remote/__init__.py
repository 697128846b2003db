"""Prometheus remote write, in and out: the wire, what is received, what is sent."""
