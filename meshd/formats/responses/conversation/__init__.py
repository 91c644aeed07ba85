"""The Responses API as conversation records, in both directions."""
