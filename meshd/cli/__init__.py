"""`meshctl`, one file a command group; `entry` is the root."""
