"""The results: objects with attribute access over the JSON that the daemon sent."""
