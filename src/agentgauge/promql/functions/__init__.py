"""FUNCTIONS: what PromQL can do."""
