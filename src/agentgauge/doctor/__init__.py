"""Is the monitor right, and what mends it where it is not: facts are gathered, checks judge them."""
