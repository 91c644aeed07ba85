"""Ollama's API, for apps that know no other: its requests become OpenAI's, and the answers become Ollama's."""
