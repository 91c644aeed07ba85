"""Embeddings and reranking, between OpenAI's form and Cohere's."""
