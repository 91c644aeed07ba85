"""Man pages and completions for shells, made of the parsers and the schema: `python -m meshd.manual DIR`."""
