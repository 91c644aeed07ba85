"""Tokens for Google's APIs, by `google-auth`.

Owns: finding credentials. Must never: import google-auth before a token is needed.
"""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from typing import Any

from meshd.host.plain_text import one_line

_UNSAID = 360.0  # s that a token is assumed to last if Google does not say
_MOST_SAID = 200


class NoToken(Exception):
    """Google gave none. Its text is safe to show."""


def new_token(scope: str, credentials: str | None, patience: float) -> tuple[str, float, str]:
    """(a token, when it ends in UTC s, the project that the credentials name or ""). credentials: the text of a
    credentials file; None: those of the environment or of the machine. patience: s. Raises NoToken."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    for name in ("google.auth", "google.oauth2"):  # they log what a server said, which may repeat a secret
        logging.getLogger(name).setLevel(logging.CRITICAL)
    library: Any = google.auth  # it has no types
    try:
        if credentials is None:
            found, project = library.default(scopes=[scope])
        else:
            found, project = library.load_credentials_from_dict(json.loads(credentials), scopes=[scope])
        found.refresh(partial(Request(), timeout=patience))
    except (GoogleAuthError, OSError, ValueError) as error:
        said = one_line(str(error.args[0]) if error.args else "")[:_MOST_SAID]
        raise NoToken(f"Google gave no token: {said or type(error).__name__}") from None
    ends = time.time() + _UNSAID if found.expiry is None else _epoch(found.expiry)
    return str(found.token), ends, project or ""


def _epoch(ends: Any) -> float:
    """google-auth's times are in UTC, without saying so."""
    from datetime import UTC

    return float(ends.replace(tzinfo=UTC).timestamp())
