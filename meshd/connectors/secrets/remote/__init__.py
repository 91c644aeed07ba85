"""Stores that are services, asked over HTTP."""
