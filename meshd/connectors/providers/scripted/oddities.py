"""Makes a scripted server's good answers as odd as those of real servers.

Owns: a step's `odd`, and the resulting bytes. Must never: change an answer's meaning.

  {top, choice, delta}  fields to put into every chunk, its choice and its delta (in a plain answer: its message)
  before, between       text to send as it is, before the first chunk, or before every one
  early                 a chunk with a finish reason comes first
  parts                 the text is a list of parts
  half                  the text ends with half a surrogate pair
  usage_choices         of the usage report: `absent`, or `null`
  done                  what the stream ends with; "": it is just closed
"""

from __future__ import annotations

from typing import Any

import msgspec

_HALF = b"\\ud83c"
_MARK = "<half>"
_STOP = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}


class Odd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    top: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    delta: dict[str, Any] = {}
    before: str = ""
    between: str = ""
    early: bool = False
    parts: bool = False
    half: bool = False
    usage_choices: str = ""
    done: str = "[DONE]"


def chunks(odd: Odd | None, payloads: list[bytes], *, content: bool) -> list[bytes]:
    """The payloads of a stream's events. content: they have the text; otherwise, the finish reason and usage."""
    if odd is None or not payloads:
        return payloads
    documents = [msgspec.json.decode(payload) for payload in payloads]
    early = content and odd.early and documents[0].get("choices")
    for number, document in enumerate(documents):
        last = content and number == len(documents) - 1
        for choice in document["choices"]:
            _change(odd, choice, choice.get("delta"), last)
        if not document["choices"] and odd.usage_choices:
            document |= {"choices": None}
            if odd.usage_choices == "absent":
                del document["choices"]
        document |= odd.top
    if early:
        documents.insert(0, {**documents[0], "choices": [_STOP]})
    return [_written(document) for document in documents]


def answer(odd: Odd | None, body: bytes) -> bytes:
    """A plain answer."""
    if odd is None:
        return body
    document = msgspec.json.decode(body)
    for choice in document.get("choices") or ():
        _change(odd, choice, choice.get("message"), last=True)
    return _written(document | odd.top)


def _change(odd: Odd, choice: dict[str, Any], said: Any, last: bool) -> None:
    if isinstance(said, dict):
        if odd.half and last and isinstance(said.get("content"), str):
            said["content"] += _MARK
        if odd.parts and isinstance(said.get("content"), str):
            said["content"] = [{"type": "text", "text": said["content"]}]
        said |= odd.delta
    choice.update({name: value for name, value in odd.choice.items() if not choice.get(name)})


def _written(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document).replace(_MARK.encode(), _HALF)
