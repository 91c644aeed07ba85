"""Event streams of the Messages API, from the first byte to the end."""
