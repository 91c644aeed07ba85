"""Helpers for reading what a provider sent, whatever its form."""
