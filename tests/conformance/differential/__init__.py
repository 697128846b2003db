"""The engine beside an installed Prometheus 2.42: the same samples, the same queries, the same answers."""
