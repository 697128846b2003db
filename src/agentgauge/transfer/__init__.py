"""Whole files of samples, in and out: what the import and export commands do. Knows no terminal."""
