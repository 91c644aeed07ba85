"""Responses that apps retrieve by their ids, and continue."""
