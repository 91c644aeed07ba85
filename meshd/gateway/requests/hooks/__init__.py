"""Hooks around a request: the chain of them, and what their answers mean."""
