"""The connectors: their registry, and the ones that come with the daemon."""
