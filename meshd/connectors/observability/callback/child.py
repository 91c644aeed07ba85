"""The process of a callback: calls the function with each entry."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import Any

from meshd.connectors.observability.process.serving import Answer, serve


def load(name: str) -> Answer:
    """name: `module:function`."""
    module, _, attributes = name.partition(":")
    found: Any = importlib.import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    if not callable(found):
        raise TypeError(f"{name} is not a function")

    def call(entry: Any) -> None:
        found(entry)

    return call


if __name__ == "__main__":
    serve(partial(load, sys.argv[1]))
