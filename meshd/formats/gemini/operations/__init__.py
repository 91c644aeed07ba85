"""What is not a conversation: embeddings and images."""
