"""Strategies: which of the models that may be asked is asked first."""
