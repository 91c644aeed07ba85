"""The rules of routing, pure: no clock, no I/O, no logging."""
