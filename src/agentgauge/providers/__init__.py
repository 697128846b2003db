"""What each LLM API puts on the wire: bytes in, facts out, no I/O."""
