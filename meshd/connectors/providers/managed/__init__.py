"""Servers that the daemon starts and stops itself."""
