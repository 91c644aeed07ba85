"""How many pages a document has, read from its bytes."""
