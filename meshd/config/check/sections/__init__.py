"""What is checked in single sections of the configuration."""
