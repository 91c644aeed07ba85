"""How long recordings are, by their frames."""
