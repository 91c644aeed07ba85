"""Sinks: where events, request records, log records and statistics are written."""
