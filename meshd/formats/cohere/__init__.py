"""Cohere's API (v2): chat, embeddings, reranking, by providers only."""
