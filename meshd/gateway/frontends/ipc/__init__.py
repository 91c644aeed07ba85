"""The ZeroMQ socket."""
