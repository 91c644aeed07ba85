"""Lists of models, as the clients of each API read them."""
