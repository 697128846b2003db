"""Small real agents that show the product at work."""
