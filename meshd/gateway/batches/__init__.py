"""Batches: many requests of a file, answered in the background into another file."""
