"""What the event streams of all formats have in common: timeouts, limits, and what an end or an error looks like."""
