"""Who used how much, and what it cost."""
