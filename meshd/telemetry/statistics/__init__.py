"""Counts, tokens, cost and latencies, by any dimension, over time."""
