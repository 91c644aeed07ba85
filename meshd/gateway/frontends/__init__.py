"""How requests come in and replies go out: one interface, and a file or folder for each transport."""
