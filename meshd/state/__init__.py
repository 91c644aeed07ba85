"""State that survives a restart: its directory, who may use it, and what is kept there."""
