"""What actors send each other, and the mailboxes it waits in."""
