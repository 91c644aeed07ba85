"""What is known about the configuration's models."""
