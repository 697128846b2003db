"""From counts to an HTTP endpoint."""
