"""What a request needs, is estimated at, and belongs to."""
