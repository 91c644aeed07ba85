"""How values are written for people: durations, exceptions, places in a configuration, and what hides a secret."""
