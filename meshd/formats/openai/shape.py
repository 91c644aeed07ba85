"""Converts chunks and answers of nearly OpenAI's shape into OpenAI's, so that apps can read them.

Owns: choices inside another object (`{"data": {chunk}}`), a choice without its list, `delta` as a text or a list, text
in the wrong place.
Must never: touch what an OpenAI client can read, or mistake another format's field of the same name for an answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from meshd.sdk.reading import lenient
from meshd.sdk.reading.message_content import MORE_THAN_TEXT, REASONING
from meshd.sdk.reading.message_content import read as read_said

_DEEPEST = 8
_MOST_MEMBERS = 32
_KEPT = ("id", "created", "model", "usage")  # of the object around the choices
_SAYS = ("content", "refusal", *REASONING, *MORE_THAN_TEXT)
_OF_CHOICE = ("index", "finish_reason", "delta", "message", "done", "done_reason", "response", "logprobs")
# Names beside `response` if that is a piece of the answer: Cloudflare's, Ollama's.
_BESIDE_RESPONSE = frozenset(
    {"response", "p", "usage", "tool_calls", "model", "created_at", "done", "done_reason", "context", "total_duration",
     "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration", "id", "object",
     "created", "finish_reason", "index"}
)  # fmt: skip


def shaped(document: dict[str, Any], part: str, *, completion: bool, usual: bool = False) -> dict[str, Any] | None:
    """The converted document; None if it needs no change. part: `delta` of a chunk, `message` of an answer. completion:
    the text belongs in `text`, as for the operation of that name. usual: text has come in the right place, so that
    whatever is beside an empty delta is not text."""
    if usual and document.get("choices") == []:
        return None  # the usage report
    whole = _unwrapped(document, part, 0)
    choices = whole.get("choices")
    if isinstance(choices, Mapping):
        choices = [choices]
    if not isinstance(choices, list) or not choices:
        return None
    given = [choice for choice in choices if isinstance(choice, Mapping) or (isinstance(choice, str) and choice)]
    made = [_choice(choice, position, part, completion, usual) for position, choice in enumerate(given)]
    if not made or (whole is document and made == document["choices"]):
        return None
    return {**whole, "choices": made}


def _unwrapped(document: Mapping[str, Any], part: str, depth: int) -> Mapping[str, Any]:
    if document.get("choices"):
        return document
    if depth < _DEEPEST:
        for value in itertools.islice(document.values(), _MOST_MEMBERS):
            inner = _document(value)
            if inner is None:
                continue
            inner = _unwrapped(inner, part, depth + 1)
            if inner.get("choices"):
                missing = {name: document[name] for name in _KEPT if inner.get(name) is None and name in document}
                return {**inner, **missing}
    choice = _sole_choice(document)
    if choice is None:
        return document
    return {**{name: value for name, value in document.items() if name not in _OF_CHOICE}, "choices": [choice]}


def _document(value: Any) -> Mapping[str, Any] | None:
    """An object, or one inside a string."""
    if isinstance(value, str) and value[:1] == "{" and '"choices"' in value:
        try:
            value = lenient.decode(value.encode(errors="surrogatepass"))
        except (lenient.NotJSON, UnicodeError):
            return None
    return value if isinstance(value, Mapping) else None


def _sole_choice(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The choice, if the document itself is one: `{"delta": {…}}`, `{"message": {…}}`, `{"response": "…"}`."""
    delta, message, response = document.get("delta"), document.get("message"), document.get("response")
    found: dict[str, Any] = {}
    if isinstance(delta, Mapping) and any(name in delta for name in _SAYS):
        found["delta"] = delta
    elif isinstance(delta, str) and delta and "type" not in document:  # OpenAI's newer API has a type
        found["delta"] = {"content": delta}
    elif isinstance(message, Mapping) and any(name in message for name in _SAYS):
        found["message"] = message
    elif isinstance(response, str) and document.keys() <= _BESIDE_RESPONSE:
        found["delta"] = {"content": response}
    else:
        return None
    finish = document.get("finish_reason") or document.get("done_reason")
    if not finish and document.get("done") is True:
        finish = "stop"
    return {"index": document.get("index") or 0, **found, "finish_reason": finish}


def has_content(said: Any) -> bool:
    """Whether a delta has the field that an OpenAI client reads, even if it is empty."""
    return isinstance(said, Mapping) and "content" in said


def _choice(choice: Any, position: int, part: str, completion: bool, usual: bool) -> dict[str, Any]:
    if isinstance(choice, str):
        choice = {"index": position, "delta": {"content": choice}}
    made = dict(choice)
    if completion:
        said = _said(made, ("delta", "message"), usual)
        if said is not None and not made.get("text") and (text := read_said(said).text):
            made["text"] = text
        return (
            {name: value for name, value in made.items() if name not in ("delta", "message")}
            if made.get("text")
            else made
        )
    if part == "message":
        said = _said(made, ("message", "delta"))
        if said is not None and said != made.get("message"):
            made.pop("delta", None)
            made["message"] = said if "role" in said else {"role": "assistant", **said}
        return made
    said = _said(made, ("delta",), usual)
    if said is None and _said(made, ("message",)) is not None:
        return made  # `stream/whole_messages.py` compares it with what came before
    if said is not None:
        made["delta"] = said
    return made


def _said(choice: dict[str, Any], parts: tuple[str, ...], usual: bool = False) -> dict[str, Any] | None:
    """A choice's content, from the first of these parts that has any, else from the choice itself. Unchanged if
    readable."""
    for name in parts:
        said = _message(choice.get(name), usual)
        if said is not None and any(read_said(said)):
            return said
    if usual or has_content(choice.get("delta")):
        return None
    found = {name: choice[name] for name in _SAYS if choice.get(name)}
    if not found and isinstance(choice.get("text"), str) and choice["text"]:
        found = {"content": choice["text"]}
    return found if found and any(read_said(found)) else None


def _message(said: Any, usual: bool = False) -> dict[str, Any] | None:
    """A delta or a message of any shape."""
    if isinstance(said, str | int | float) and not isinstance(said, bool):
        return {"content": str(said)} if said != "" else None
    if isinstance(said, list):
        return _joined(said)
    if not isinstance(said, Mapping):
        return None
    inner = said.get("message") or said.get("delta")
    if (
        inner
        and not any(read_said(said))
        and not (isinstance(inner, str | int | float) and (usual or has_content(said)))
    ):
        return _message(inner)
    if not usual and not said.get("content") and isinstance(said.get("text"), str) and said["text"]:
        return {**{name: value for name, value in said.items() if name not in ("text", "content")},
                "content": said["text"]}  # fmt: skip
    return dict(said)


def _joined(parts: list[Any]) -> dict[str, Any]:
    """Parts of content, or of a message."""
    made: dict[str, Any] = {}
    for part in parts:
        said = read_said(part) if isinstance(part, Mapping) and any(name in part for name in _SAYS) else None
        if said is None:
            said = read_said({"content": [part]})
        elif isinstance(part, Mapping):
            for name in MORE_THAN_TEXT:
                if isinstance(part.get(name), list):
                    made[name] = [*made.get(name, []), *part[name]]
        if said.text:
            made["content"] = made.get("content", "") + said.text
        if said.reasoning:
            made["reasoning_content"] = made.get("reasoning_content", "") + said.reasoning
    return made
