"""Tools of a conversation, where formats differ in them."""
