"""Programs as people write them for the OpenAI SDK, by name."""
