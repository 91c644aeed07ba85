"""The words of a recording."""
