"""Wire formats: how apps speak to the daemon, and the daemon to providers."""
