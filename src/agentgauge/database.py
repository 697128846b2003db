"""Database: the store and the engine, joined."""
