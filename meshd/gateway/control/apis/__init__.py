"""What the APIs of others have besides requests to models: lists, kept responses, Ollama's endpoints."""
