"""`modelmesh.callback.v1`: entries are passed to a Python function, in a process of its own."""
