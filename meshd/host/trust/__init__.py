"""Which files, ports and servers of this machine only root and our own user can change or answer at."""
