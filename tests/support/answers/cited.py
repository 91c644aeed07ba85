"""What a model cites, in the pieces of its text: each with the page that it cites, or without one."""

from __future__ import annotations

from typing import Any

Page = tuple[str, str]


def pieces(said: Any) -> list[tuple[str, Page | None]]:
    found: list[tuple[str, Page | None]] = []
    at = 0
    for url, title, start, end in said.cites:
        if start > at:
            found.append((said.text[at:start], None))
        found.append((said.text[start:end], (url, title)))
        at = end
    return [*found, (said.text[at:], None)] if said.text[at:] else found
