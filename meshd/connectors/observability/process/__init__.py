"""A separate process for a sink whose code may hang, crash or need much memory."""
