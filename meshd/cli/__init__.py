"""The command `meshctl`: a file for each group of commands; `entry` is the root."""
