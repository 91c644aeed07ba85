"""Commands that show what the daemon does and has done."""
