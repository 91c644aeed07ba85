"""State that survives a restart: its directory, which process may use it, and what is kept there."""
