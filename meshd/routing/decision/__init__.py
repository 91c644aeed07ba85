"""The decision: from a pool to the model to ask now."""
