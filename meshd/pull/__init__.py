"""Weights for the embedded models: fetched once, checked, kept in the data directory; never needed for a request."""
