"""OpenAI's chat completions as conversation records, in both directions."""
