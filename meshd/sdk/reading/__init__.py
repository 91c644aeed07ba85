"""Helpers that read what a provider sent, whatever its shape."""
