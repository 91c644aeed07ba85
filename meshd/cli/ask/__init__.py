"""`meshctl chat`, `embed`, `speak`, `transcribe` and `image`: commands that ask a model."""
