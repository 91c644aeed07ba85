"""Metrics, and events as they happen."""
