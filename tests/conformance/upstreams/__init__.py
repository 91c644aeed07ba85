"""Servers from PyPI and npm that other people wrote, as the daemon's providers."""
