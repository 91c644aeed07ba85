"""A kind of request, as data: what apps ask for, where, in which fields, and what may be done with it.

Owns: the facts about an operation that the rest of the daemon asks for instead of asking which operation it is.
The operations that exist are in `meshd/operations/`, one a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["json", "text", "events", "binary"]
"""The form of an answer: one JSON document; a text; a stream of events; the bytes of a file, which come in pieces."""


class OperationSpec(msgspec.Struct, frozen=True, eq=False):
    """name: in answers, logs and statistics; OpenAI's where it has one. method: of the client; "": `NAME.create`. word:
    on the command line. paths: where an app asks, by wire format; of a format that only providers speak, the word of
    their paths that names it.

    capabilities: nodes of the tree whose models answer it, with all that is below them; (): any model. other_than:
    nodes whose models do not.

    text: the fields of the body that hold what is counted as the prompt; the first is what the request is about. free:
    other fields that raise no price beyond what is reserved, and name no models. conversation: the first is a list of
    messages, which may carry images and files. each: every entry of a list there is answered separately. apart: the
    field whose entries a model reads one by one, so that its context window is for each. again: the field that it reads
    with each of them. example: the
    smallest body about a text, without a model; None if there is no small one, so that models cannot be probed with it.
    default: the `model` of a body that names none; "": it must name one.

    json, form: it takes a body in JSON, or a form (`multipart/form-data`), in which each file stands as a map of its
    `filename`, `content_type`, `bytes` and, for audio, `seconds` at most. answer: what its answer is, and answers:
    (field, value) → what it is if the body says so; the first that fits. ends: types of the events that end a stream of
    events which have a `type`; (): its events are chunks of choices.

    rows: of an answer in JSON, the list that it is given in ("": none, the document is the answer), and the members of
    which each entry must have one.

    tokens: its use is counted in tokens. units: what a request with these fields uses besides tokens, at most, by the
    names of `meshd/core/prices.py`; None: nothing. priced_by: fields that say of which kind these are, where their
    price depends on it; an answer says it in members of the same names. shown: fields with an image, or a list of them,
    for the model to see. reports: members of the answer (with dots) that say how much of which unit was used, beside
    its usage.

    output: the answer is made of tokens that are counted and can be limited. told: its tokens are known only if the
    provider reports them, as those of an image. repeats: the same body always has the same answer. cached: an answer
    may be kept, and shared between equal requests at the same time. streamed, continued: its answer may come in parts,
    and another model may write the rest of it. hedged: a second model may be asked before the first has answered.
    retried: it may be asked again after it may have been carried out.
    """

    name: str
    word: str
    paths: Mapping[str, str]
    text: tuple[str, ...]
    rows: tuple[str, ...]
    capabilities: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    conversation: bool = False
    each: bool = False
    apart: str = ""
    again: str = ""
    example: Callable[[str], dict[str, Any]] | None = None
    default: str = ""
    method: str = ""
    json: bool = True
    form: bool = False
    answer: Kind = "json"
    answers: Mapping[tuple[str, object], Kind] = {}
    ends: tuple[str, ...] = ()
    tokens: bool = True
    units: Callable[[Mapping[str, msgspec.Raw]], dict[str, int]] | None = None
    priced_by: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    reports: Mapping[str, str] = {}
    output: bool = True
    told: bool = False
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

    def spoken_in(self, format: str) -> bool:
        """Whether a provider that speaks this format can be asked; a conversation is translated."""
        return self.conversation or format in self.paths

    def answer_to(self, fields: Mapping[str, msgspec.Raw]) -> Kind:
        """What the answer to a body with these fields is."""
        for (name, value), kind in self.answers.items():
            if name in fields and _value(fields[name]) == value:
                return kind
        return self.answer


def _value(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _within(capability: str, node: str) -> bool:
    """By whole names: a configured `evaluation-notes` is not part of `evaluation`."""
    return f"{capability}.".startswith(f"{node}.")
