"""What other providers' APIs have besides requests to models: lists, kept responses, Ollama's endpoints."""
