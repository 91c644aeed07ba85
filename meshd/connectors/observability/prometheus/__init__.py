"""Metrics for Prometheus: as text, in a file or at a port."""
