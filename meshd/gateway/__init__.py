"""The router: front ends, requests, the cache, control and upkeep."""
