"""Sinks: where events, the request log and statistics are written."""
