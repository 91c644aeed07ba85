"""The objects that a configuration names: connectors, their keys, strategies, hooks."""
