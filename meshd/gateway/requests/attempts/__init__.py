"""One attempt at one model, and several at a time."""
