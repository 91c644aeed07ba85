"""How requests come in and replies go out: one seam, a folder a transport."""
