"""How long recordings are at most, by their frames."""
