"""Small real agents that show the product at work: real loops, a real client, real tools, a simulated model."""
