"""What a call of a provider is made of: the operation, the body, what goes with it, a failure."""
