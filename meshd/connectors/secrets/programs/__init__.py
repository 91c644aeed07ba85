"""Stores that are programs: each secret is what one of them prints."""
