"""PromQL over float samples, with the meaning of Prometheus 3.14."""
