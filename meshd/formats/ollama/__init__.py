"""Ollama's API, for apps that speak only that one: its requests become OpenAI's, and the answers become Ollama's."""
