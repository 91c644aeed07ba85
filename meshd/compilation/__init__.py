"""From a configuration to what the router runs."""
