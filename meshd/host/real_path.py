"""Where a path leads, while links on it are being replaced.

Must never: raise because of that.
"""

from __future__ import annotations

import os

_TRIES = 5


def real_path(path: str | os.PathLike[str]) -> str:
    """Like os.path.realpath, which raises OSError if a link becomes a file between its two looks at it. Raises
    ValueError for a NUL."""
    for _ in range(_TRIES):
        try:
            return os.path.realpath(path)
        except OSError:
            continue
    return os.path.abspath(path)
