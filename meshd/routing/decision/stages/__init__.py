"""The rules that say which models may be asked: one a file, in the order of `pipeline.standard_stages`."""
