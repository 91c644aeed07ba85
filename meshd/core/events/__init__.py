"""What happened, and why: the records that the router tells the other actors."""
