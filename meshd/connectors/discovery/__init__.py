"""Discovery: health of providers, their model lists, servers on this machine."""
