"""The client's name and version, as told to daemons."""

from typing import Final

VERSION: Final = "0.1.0"
CLIENT: Final = f"modelmesh-python/{VERSION}"
