"""What a store says when it fails, fit for a log and a terminal.

Must never: let through a secret that is known here, or what looks like one.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshd.host.plain_text import one_line, stripped
from meshd.sdk.http.credentials import Credentials

_MOST_BYTES = 200


def said(text: str, secrets: Iterable[str] = ()) -> str:
    """On one line, cut off at its end."""
    shown = one_line(Credentials(secrets).text(stripped(text)))
    return shown.encode()[:_MOST_BYTES].decode(errors="ignore")
