"""The operations that apps can ask for, one a file."""
