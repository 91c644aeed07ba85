"""What agents export by OTLP, read for what they used elsewhere."""
