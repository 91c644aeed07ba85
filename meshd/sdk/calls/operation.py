"""A kind of request, as data: what apps ask for, where, in which fields, and what may be done with it.

Owns: the facts about an operation, which the rest of the daemon uses instead of asking which operation it is.
The existing operations are in `meshd/operations/`, each in its own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE

Kind = Literal["json", "text", "events", "binary"]
"""The form of an answer: a JSON document; a text; a stream of events; the bytes of a file, which come in pieces."""


class OperationSpec(msgspec.Struct, frozen=True, eq=False):
    """name: in answers, logs and statistics; OpenAI's if it has one. method: of the client; "": `NAME.create`. word:
    its name on the command line. paths: where an app sends it, by wire format; for a format that only providers speak,
    the word in their paths that names it.

    capabilities: nodes of the tree whose models answer it, including everything below them; (): any model. other_than:
    nodes whose models do not.

    text: the fields of the body whose content counts as the prompt; the first is the subject of the request. free:
    other fields that do not raise the price beyond what is reserved, and do not name models. conversation: the first is
    a list of messages, which may contain images and files. each: every entry of a list there is answered separately.
    apart: the field whose entries a model reads one by one, so that its context window applies to each. again: the
    field that it reads with each of them. example: the smallest body with a text, without a model; None if there is no
    small one, so that models cannot be probed with it. default: the `model` of a body that names none; "": it must name
    one.

    json, form: it takes a body in JSON, or a form (`multipart/form-data`), in which each file is represented by a map
    of its `filename`, `content_type`, `bytes` and, for audio, `seconds` at most. answer: the form of its answer;
    answers: (field, value) → the form if the body says so; the first match counts. ends: types of the events that end a
    stream whose events have a `type`; (): its events are chunks of choices.

    rows: for an answer in JSON, the list that contains it ("": none, the document is the answer), and the members of
    which each entry must have at least one.

    tokens: its use is counted in tokens. units: what a request with these fields uses besides tokens, at most, by the
    names of `meshd/core/prices.py`; None: nothing. priced_by: fields that say which kind these units are, if their
    price depends on it; an answer says it in members of the same names. shown: fields with an image, or a list of
    images, for the model to see. reports: members of the answer (with dots) that say how much of which unit was used,
    besides its usage.

    output: the answer is made of tokens that are counted and can be limited. told: its tokens are known only if the
    provider reports them, like those of an image. repeats: the same body always has the same answer. cached: an answer
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
        """The form of the answer to a body with these fields."""
        for (name, value), kind in self.answers.items():
            if name in fields and _value(fields[name]) == value:
                return kind
        return self.answer


def _value(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return None


def _within(capability: str, node: str) -> bool:
    """Whole names are compared: a configured `evaluation-notes` is not part of `evaluation`."""
    return f"{capability}.".startswith(f"{node}.")
