"""The version of this package, without the cost of reading its installed metadata at start."""

VERSION = "0.1.0"
