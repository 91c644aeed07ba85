"""A model as lists show it, independent of any API's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """Something that apps may ask for by `id`. kind: `pool`, `capability`, `model`, or `alias`, which stands for
    `target`. owner: the provider of a model, else `mesh`.

    About all models that may answer: capabilities: leaf ids that any of them has; context_window, max_output_tokens:
    the smallest, None where none is known; features: what all of them declare. long: both limits of the models that
    take long prompts, if not all models do (`meshd/routing/table/offers.py`).
    """

    id: str
    kind: str
    target: str
    owner: str
    capabilities: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None
    features: frozenset[str]
    long: tuple[int | None, int | None] | None = None


class ListForm(Protocol):
    """How one API's clients read models. speaks: the wire format in which they ask for answers; None: any."""

    speaks: str | None

    def asked(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether a request for a list is for this form. headers: by lower-case name."""

    def listed(self, entries: list[Entry], query: Mapping[str, str]) -> dict[str, Any]:
        """Raises InvalidRequestError."""

    def one(self, entry: Entry) -> dict[str, Any]: ...
