"""Event streams of ConverseStream, from the first byte to the end."""
