"""What the body of a request says: its needs, its tokens, its parameters."""
