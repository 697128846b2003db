"""Values that cross the borders between packages: the standard library only, but for ``series``."""
