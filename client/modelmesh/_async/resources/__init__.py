"""The parts of the client by which an app calls the API."""
