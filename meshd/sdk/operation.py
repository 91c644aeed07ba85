"""A kind of request, as data: what apps ask for, where, in which fields, and what may be done with it.

Owns: the facts about an operation that the rest of the daemon asks for instead of asking which operation it is.
The operations that exist are in `meshd/operations/`, one a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True, eq=False)
class OperationSpec:
    """name: in answers, logs and statistics; OpenAI's where it has one. word: on the command line. paths: where an app
    asks, by wire format.

    capabilities: nodes of the tree whose models answer it, with all that is below them; (): any model. other_than:
    nodes whose models do not.

    text: the fields of the body that hold what is counted as the prompt; the first is what the request is about.
    conversation: that one is a list of messages, which may carry images and files. each: every entry of a list there is
    answered separately. example: the smallest body about a text, without a model; None if there is no small one, so
    that models cannot be probed with it. rows: of the answer, the list that it is given in, and the member that each
    entry must have.

    tokens: its use is counted in tokens. units: what a request with these fields uses beside tokens, at most, by the
    names of `meshd/core/prices.py`; None: nothing.

    output: the answer is made of tokens that are counted and can be limited. repeats: the same body always has the same
    answer. cached: an answer may be kept, and shared between equal requests at the same time. streamed, continued: its
    answer may come in parts, and another model may write the rest of it. hedged: a second model may be asked before the
    first has answered. retried: it may be asked again after it may have been carried out.
    """

    name: str
    word: str
    paths: Mapping[str, str]
    text: tuple[str, ...]
    rows: tuple[str, str]
    capabilities: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()
    conversation: bool = False
    each: bool = False
    example: Callable[[str], dict[str, Any]] | None = None
    tokens: bool = True
    units: Callable[[Mapping[str, msgspec.Raw]], dict[str, int]] | None = None
    output: bool = True
    repeats: bool = False
    cached: bool = True
    streamed: bool = True
    continued: bool = True
    hedged: bool = True
    retried: bool = True

    def __str__(self) -> str:
        return self.name

    def answered_by(self, capability: str) -> bool:
        """Whether a model of this capability answers it."""
        if any(_within(capability, node) for node in self.other_than):
            return False
        return not self.capabilities or any(_within(capability, node) for node in self.capabilities)


def _within(capability: str, node: str) -> bool:
    """By whole names: a configured `evaluation-notes` is not part of `evaluation`."""
    return f"{capability}.".startswith(f"{node}.")
