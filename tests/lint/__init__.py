"""Checks of the text that people read, and of the tests; `make lint` runs them."""
