"""The embedded store: one SQLite file, compressed chunks, a durable head."""
