"""What is known about providers, models and local weights before any is asked: data in TOML files."""
