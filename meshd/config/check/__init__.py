"""Checks of everything that can be wrong with a configuration beyond its types."""
