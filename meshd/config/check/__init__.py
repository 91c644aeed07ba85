"""Everything that can be wrong with a configuration beyond its types."""
