"""Ids as this API has them."""

from __future__ import annotations

import hashlib
import os

_LONGEST = 64  # characters: the most that OpenAI accepts


def response_id(id: str) -> str:
    """The provider's id, if it comes from this API; else a new one, as apps find a response by it, and some servers
    give the same id twice."""
    return id if id.startswith("resp_") and len(id) <= _LONGEST else f"resp_{os.urandom(16).hex()}"


def item_id(kind: str, base: str, index: int) -> str:
    return f"{kind}_{_digest(f'{base}/{index}')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:40]
