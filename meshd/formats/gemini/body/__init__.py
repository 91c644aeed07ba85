"""A request's body: what it needs, and changing what is in it."""
