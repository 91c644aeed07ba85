"""`meshctl top`: the daemon live, on one screen."""
