"""A configuration as text, as a difference, as a reference page and as a JSON Schema."""
