"""Embeddings by APIs of their own."""
