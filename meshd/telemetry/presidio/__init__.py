"""Names and places in prompts and answers, found by Presidio in a process of its own."""
