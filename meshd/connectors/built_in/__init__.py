"""The connectors that come with meshd, as a table."""
