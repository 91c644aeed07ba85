"""A remote storage, to which the state directory is copied."""
