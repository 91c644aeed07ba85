"""Event streams in the OpenAI format, from the first byte to the end."""
