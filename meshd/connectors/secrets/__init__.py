"""Secret stores, and the resolver that asks them in order and caches their values."""
