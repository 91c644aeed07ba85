"""Streams: from a provider to the app, over as many attempts as needed."""
