"""What the body of a request to the Responses API says."""
