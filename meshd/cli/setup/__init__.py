"""Commands that set up and check an installation; most need no daemon."""
