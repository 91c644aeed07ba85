"""One request: attempts, hedging, streams, waiting, the outcome."""
