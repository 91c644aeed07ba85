"""From a file, or from no file, to plain values with the line of each."""
