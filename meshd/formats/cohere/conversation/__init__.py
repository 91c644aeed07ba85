"""Requests, answers and events of a chat, as neutral records and back."""
