"""The APIs by which providers take many requests at once."""
