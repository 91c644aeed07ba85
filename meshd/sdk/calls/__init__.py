"""The parts of a call to a provider: the operation, the body, what goes with it, a failure."""
