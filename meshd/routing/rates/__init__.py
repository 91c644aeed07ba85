"""Rate limits: configured, reported by providers, and per key."""
