"""A process of a sink's own, for code that may hang, crash or need much memory."""
