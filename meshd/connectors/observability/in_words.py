"""Why a sink cannot write, for people.

Must never: show the name of one of Python's classes where the error has words of its own.
"""

from __future__ import annotations

import ssl

from meshd.host.plain_text import one_line

_WITH_WORDS = ("meshd", "modelmesh", "httpx")
"""Packages whose errors need no name."""


def in_words(error: BaseException) -> str:
    """On one line. What the system says, if it is behind the error; the name of the class only for errors of other
    libraries."""
    behind = _of_system(error)
    if isinstance(behind, ssl.SSLCertVerificationError):
        return one_line(f"certificate not accepted: {behind.verify_message}")
    if behind is not None:
        said = behind.strerror or str(behind) or "timed out"
        return one_line(f"{said}: {behind.filename}" if behind.filename else said)
    name = type(error).__name__
    if str(error) and type(error).__module__.partition(".")[0] in _WITH_WORDS:
        return one_line(str(error))
    return one_line(f"{name}: {error}" if str(error) else name)


def _of_system(error: BaseException) -> OSError | None:
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        # httpcore hides the cause of its errors (`raise … from None`), but it stays their context.
        library = type(found).__module__.partition(".")[0] in ("httpx", "httpcore")
        found = found.__cause__ or (found.__context__ if library else None)
    return found
