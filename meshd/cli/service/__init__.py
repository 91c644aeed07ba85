"""The daemon as a systemd service: installing, removing and inspecting it."""
