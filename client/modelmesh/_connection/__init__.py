"""The connection to the daemon: links, the calls on them, and how threads and event loops wait."""
