"""The configuration in the form that decisions use."""
