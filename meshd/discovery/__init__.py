"""What providers and local servers offer, and whether they are healthy."""
