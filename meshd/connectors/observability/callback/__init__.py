"""`modelmesh.callback.v1`: entries are passed to a function of Python, in a process of its own."""
