"""Passthrough: requests to a provider's own API, with its key."""
