"""A protocol-faithful Ollama server without a model: for demos, tests and agents without a GPU."""
