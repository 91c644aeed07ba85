"""Event streams of a chat, from the first byte to the end."""
