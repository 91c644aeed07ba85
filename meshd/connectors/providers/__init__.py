"""Providers: the ways to reach models."""
