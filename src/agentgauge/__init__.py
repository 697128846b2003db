"""agentgauge: performance monitoring for LLM agents."""
