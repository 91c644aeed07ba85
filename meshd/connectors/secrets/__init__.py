"""Secret stores, and the resolver that asks them in order and remembers for a while."""
