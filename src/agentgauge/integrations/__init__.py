"""Hooks into the SDKs that people call models with."""
