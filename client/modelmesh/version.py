"""The version of client and daemon, and how the client names itself to daemons."""

from typing import Final

VERSION = "0.1.0"  # the only place: pyproject.toml reads it from here
CLIENT: Final = f"modelmesh-python/{VERSION}"
