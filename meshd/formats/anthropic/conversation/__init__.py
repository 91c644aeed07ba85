"""Messages as conversation records, in both directions."""
