"""The client: its calls, streams and resources. `_async` is written by hand, `_sync` is generated from it."""
