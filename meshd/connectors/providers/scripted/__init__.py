"""Answers and faults from a script, for tests and demonstrations."""
