"""Recording in the user's process: work becomes spans, spans become counts, counts become metrics."""
