"""Runs scripts in the language of Prometheus' promqltest against the engine."""
