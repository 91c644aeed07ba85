"""What the router does between requests: state, probes, lists of models."""
