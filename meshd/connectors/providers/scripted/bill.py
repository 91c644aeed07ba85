"""Counts what a scripted server would charge for: the tokens it delivered, by model and request.

Owns: the count that tests compare with a daemon's own.
Must never: know a price, or count what was not sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from meshd.connectors.providers.scripted.script import Request

_TOKENS = ("prompt_tokens", "completion_tokens")


class Item:
    """The bill of one request. user: the body's field, by which a test recognises its requests. at: UTC s of its
    arrival. max_tokens: its output limit. roles: of its messages."""

    def __init__(self, request: Request) -> None:
        self.model = request.model
        self.user = str(request.fields.get("user", ""))
        self.at = time.time()
        self.max_tokens = request.fields.get("max_completion_tokens") or request.fields.get("max_tokens")
        self.roles = [message.get("role") for message in request.fields.get("messages") or ()]
        self.tokens = dict.fromkeys(_TOKENS, 0)

    def delivered(self, usage: Mapping[str, Any]) -> None:
        """The total delivered so far."""
        self.tokens = {name: int(usage.get(name, 0)) for name in _TOKENS}


class Bill:
    """The bills of all requests since the server started."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def begin(self, request: Request) -> Item:
        self._items.append(Item(request))
        return self._items[-1]

    def by_model(self) -> dict[str, dict[str, int]]:
        """Model → requests with anything delivered, prompt_tokens, completion_tokens."""
        sums: dict[str, dict[str, int]] = {}
        for item in self._items:
            if any(item.tokens.values()):
                of_model = sums.setdefault(item.model, dict.fromkeys(("requests", *_TOKENS), 0))
                of_model["requests"] += 1
                for name, tokens in item.tokens.items():
                    of_model[name] += tokens
        return sums

    def rows(self) -> list[dict[str, Any]]:
        """Every request, in order of arrival, including those with nothing delivered."""
        return [
            {
                "user": item.user,
                "model": item.model,
                "at": item.at,
                "max_tokens": item.max_tokens,
                "roles": item.roles,
                **item.tokens,
            }
            for item in self._items
        ]
