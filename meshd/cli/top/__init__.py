"""`meshctl top`: a live view of the daemon, on one screen."""
