"""HTTP to providers: connections, proxies, TLS, content codings."""
