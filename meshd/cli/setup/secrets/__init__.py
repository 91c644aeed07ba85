"""`meshctl secrets`: the secret stores of a configuration."""
