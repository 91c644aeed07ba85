"""Batches that are passed on to a provider's own API for batches."""
