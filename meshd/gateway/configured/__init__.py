"""What a configuration names, made and kept: connectors, their keys, strategies, hooks."""
