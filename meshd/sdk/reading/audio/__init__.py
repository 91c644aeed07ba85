"""The greatest possible length of recordings, from their frames."""
