"""What the daemon knows about its own process and machine: time, stops, descriptors, shortages."""
