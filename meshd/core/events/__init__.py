"""What happened, and why: the records that the router sends to the other actors."""
