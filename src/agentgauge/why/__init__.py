"""Where the time of tasks goes and what making a part faster would save, answered by PromQL over any backend."""
