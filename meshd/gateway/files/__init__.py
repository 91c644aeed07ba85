"""Files that apps upload, and the results of their batches."""
