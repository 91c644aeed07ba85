"""Speech on this machine: a text read aloud, and the words of a recording."""
