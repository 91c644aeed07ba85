"""OpenAI's Responses API: what apps ask in it, what providers answer in it, and its translation."""
