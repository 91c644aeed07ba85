"""The APIs through which providers take many requests at once."""
