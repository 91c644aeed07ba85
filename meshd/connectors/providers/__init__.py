"""Provider connectors: the ways to reach models."""
