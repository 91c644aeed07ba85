"""One request as a sequence of attempts: which next, when, and how it ends."""
