"""The HTTP front end: any client that can set a base URL."""
