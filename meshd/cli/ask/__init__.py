"""`meshctl chat` and `embed`: commands that ask a model."""
