"""Checks of the text that people read; `make lint` runs them."""
