"""A placeholder for the mesh where the OpenAI SDK has a URL. Nothing connects to it."""

from typing import Final

ORIGIN: Final = "http://modelmesh"
