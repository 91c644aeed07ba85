"""Pages of the documentation, done as they say."""
