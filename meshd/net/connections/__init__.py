"""Connections: names, proxies, TLS, and those that are kept."""
