"""Answers and faults by script, for tests and demonstrations."""
