"""How this copy of meshd was built."""

from __future__ import annotations

from meshd.host import clock


def is_compiled() -> bool:
    """Whether the modules that a request passes through are machine code (`hatch_build.py`)."""
    return not clock.__file__.endswith(".py")
