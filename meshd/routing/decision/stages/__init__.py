"""The rules that decide which models may be asked, one in each file; their order is in `pipeline.standard_stages`."""
