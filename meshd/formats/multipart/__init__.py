"""Bodies that are forms, with files in them."""
