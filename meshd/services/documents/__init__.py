"""Parsers of documents."""
