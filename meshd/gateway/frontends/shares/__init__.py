"""Each user's fair share of connections, of memory for requests, and of turns."""
