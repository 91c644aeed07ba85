"""What is out there: health of providers, their model lists, servers on this machine."""
