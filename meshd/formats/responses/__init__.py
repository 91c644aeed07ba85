"""OpenAI's Responses API: apps' requests, providers' answers, and its translation."""
