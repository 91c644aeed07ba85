"""The daemon as a service of systemd: installed, removed and looked at."""
