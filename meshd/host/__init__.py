"""What the daemon knows of its own process and machine: time, stops, descriptors, shortages."""
