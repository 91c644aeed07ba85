"""The settings of connectors."""
