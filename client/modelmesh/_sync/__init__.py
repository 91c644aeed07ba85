# Generated from modelmesh/_async/__init__.py by client/sync_twins.py; edit that file.
"""The client: its calls, streams and resources. `_async` is written by hand, `_sync` is generated from it."""
