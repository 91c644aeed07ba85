"""What programs written for the OpenAI SDK expect of a client."""
