"""Strategies: which one of the models that may be asked is asked."""
