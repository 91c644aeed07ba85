"""How this copy of meshd was built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshd.host import clock

if TYPE_CHECKING:  # mypyc knows it by this name, and reads it instead of calling it
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**options: Any) -> Any:
        """Tells mypyc of a class, such as `allow_interpreted_subclasses=True`. Does nothing in plain Python."""
        return lambda made: made


def is_compiled() -> bool:
    """Whether the modules that a request passes through are machine code (`hatch_build.py`)."""
    return not clock.__file__.endswith(".py")
