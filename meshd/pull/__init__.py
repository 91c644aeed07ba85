"""Weights for the embedded models: fetched once, checked, kept in the data directory; never fetched for a request."""
