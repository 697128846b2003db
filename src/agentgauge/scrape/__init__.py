"""From a target's exposition to samples in the store."""
