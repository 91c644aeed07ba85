"""Speech on this machine: speech from text, and text from recordings."""
