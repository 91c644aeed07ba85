"""Links to a daemon: over a UNIX socket, or by libzmq, and when to dial again."""
