"""The place of a value in nested maps and lists."""

from __future__ import annotations

from collections.abc import Iterable

Path = tuple[str | int, ...]
"""The keys and list positions from the root to a value."""


def dotted(path: Iterable[str | int]) -> str:
    """`("pools", "chat", "models", 0)` → "pools.chat.models[0]"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
