"""`select` and `require`: which models belong to a pool."""
