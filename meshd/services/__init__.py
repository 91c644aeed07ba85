"""Services: APIs of their own, which are asked for an operation in steps that need no network."""
