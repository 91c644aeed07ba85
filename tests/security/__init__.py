"""What other users of the machine cannot do: a real daemon, and processes that are really theirs."""
