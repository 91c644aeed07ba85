"""HTTP/2 to providers that choose it."""
