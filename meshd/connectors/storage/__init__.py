"""Where state is stored."""
