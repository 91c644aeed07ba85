"""Help for a store of responses: what is kept of one, and the whole input of a request that follows it.

Pure: where responses are kept, for how long and for which app is decided elsewhere. Items stay raw JSON.

An app retrieves `response`, lists `input_items` and continues with `follow_up`, which needs no more than the fields of
the new request and the stored response that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from meshd.formats.responses.conversation.answer import item_id
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError

_PREVIOUS = "previous_response_id"
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MOST_LISTED = 100


class Stored(msgspec.Struct, frozen=True):
    """input: all items that the model read, with those of earlier responses. response: as the app got it, its output
    inside."""

    id: str
    input: bytes
    response: bytes


def is_stored(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app wants its response to be kept, which it does unless it says otherwise."""
    return bytes(fields.get("store", b"true")) != b"false"


def previous_id(fields: Mapping[str, msgspec.Raw]) -> str:
    """The response that a request follows, "" if it follows none. Raises InvalidRequestError."""
    raw = fields.get(_PREVIOUS)
    if raw is None or bytes(raw) == b"null":
        return ""
    try:
        return _string(raw)
    except _UNREADABLE:
        raise InvalidRequestError(f"`{_PREVIOUS}` has to be the id of a response", param=_PREVIOUS) from None


def input_of(fields: Mapping[str, msgspec.Raw]) -> list[msgspec.Raw]:
    """The input's items; a text is one message. Raises InvalidRequestError."""
    raw = bytes(fields.get("input", b"null"))
    if raw == b"null":
        return []
    if raw.startswith(b'"'):
        return [msgspec.Raw(b'{"type":"message","role":"user","content":' + raw + b"}")]
    try:
        return _raws(lenient.whole(raw))
    except _UNREADABLE:
        raise InvalidRequestError("`input` has to be text or a list of items", param="input") from None


def follow_up(fields: Mapping[str, msgspec.Raw], stored: Stored) -> dict[str, msgspec.Raw]:
    """The fields of a request that follows a stored response, with all of the conversation in its input, and references
    to items of that resolved. Raises InvalidRequestError."""
    before = [*_raws(stored.input), *output_of(stored.response)]
    known = {id: item for item in before if (id := _member(item, "id"))}
    items = [*before, *(_resolved(item, known) for item in input_of(fields))]
    whole = {name: raw for name, raw in fields.items() if name != _PREVIOUS}
    return whole | {"input": msgspec.Raw(b"[" + b",".join(map(bytes, items)) + b"]")}


def _resolved(item: msgspec.Raw, known: Mapping[str, msgspec.Raw]) -> msgspec.Raw:
    kind, id = _member(item, "type"), _member(item, "id")
    refers = kind == "item_reference" or (not kind and id and not _member(item, "role"))
    return known.get(id, item) if refers else item


def output_of(response: bytes) -> list[msgspec.Raw]:
    """The items of a response, each as it came; none if it has none."""
    try:
        return _raws(_object(lenient.whole(response)).get("output", b"[]"))
    except _UNREADABLE:
        return []


def _member(item: msgspec.Raw, name: str) -> str:
    """A text in an item, "" if it has none."""
    try:
        return _string(_object(item).get(name, b'""'))
    except _UNREADABLE:
        return ""


def stored(fields: Mapping[str, msgspec.Raw], response: bytes, previous: str = "") -> Stored | None:
    """What is to be kept of a request and its response; None if the response has no id. fields: as they were sent, with
    all of the conversation. previous: the response that the app's request followed."""
    try:
        document = _object(lenient.whole(response))
    except _UNREADABLE:
        return None
    id = _member(msgspec.Raw(response), "id")
    if not id:
        return None
    if previous:
        document[_PREVIOUS] = msgspec.Raw(_encode(previous))
    items = b"[" + b",".join(map(bytes, input_of(fields))) + b"]"
    return Stored(id, items, _encode(document))


def cancelled(response: bytes) -> bytes:
    """The response after its cancellation; unchanged if it had ended."""
    document = _object(lenient.whole(response))
    if bytes(document.get("status", b"")) not in (b'"in_progress"', b'"queued"'):
        return response
    return _encode({**document, "status": "cancelled"})


def deleted(id: str) -> bytes:
    """The answer to a deletion."""
    return _encode({"id": id, "object": "response", "deleted": True})


def input_items(stored: Stored, *, limit: int = 20, after: str = "", order: str = "desc") -> bytes:
    """A page of the items of a response's input. Raises InvalidRequestError."""
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidRequestError(f"`limit` has to be between 1 and {MOST_LISTED}", param="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequestError("`order` has to be asc or desc", param="order")
    items = list(_with_ids(_raws(stored.input), stored.id))
    if order == "desc":
        items.reverse()
    ids = [_member(item, "id") for item in items]
    if after and after not in ids:
        raise InvalidRequestError(f"`after` names no item of this response: {after[:80]}", param="after")
    begin = ids.index(after) + 1 if after else 0
    page, found = items[begin : begin + limit], ids[begin : begin + limit]
    return _encode(
        {
            "object": "list",
            "data": page,
            "first_id": found[0] if found else None,
            "last_id": found[-1] if found else None,
            "has_more": begin + limit < len(items),
        }
    )


def _with_ids(items: Sequence[msgspec.Raw], base: str) -> Iterable[msgspec.Raw]:
    """Every item of a list has an id and a type, and a message its content as parts."""
    for n, raw in enumerate(items):
        try:
            item: dict[str, Any] = dict(_object(raw))
        except _UNREADABLE:
            continue
        kind = _member(raw, "type") or "message"
        if kind == "message" and bytes(item.get("content", b"")).startswith(b'"'):
            part = "output_text" if _member(raw, "role") == "assistant" else "input_text"
            item["content"] = [{"type": part, "text": item["content"]} | _PARTS[part]]
        id = _member(raw, "id") or item_id(_PREFIXES.get(kind, "item"), f"{base}/input", n)
        status = {"status": "completed"} if kind in _WITH_STATUS and "status" not in item else {}
        yield msgspec.Raw(
            _encode({"id": id, "type": kind, **{k: v for k, v in item.items() if k not in _HEAD}, **status})
        )


_HEAD = ("id", "type")
_WITH_STATUS = frozenset({"message", "function_call", "function_call_output", "custom_tool_call",
                          "custom_tool_call_output"})  # fmt: skip
_PARTS: dict[str, dict[str, Any]] = {"output_text": {"annotations": []}, "input_text": {}}
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fc",
             "custom_tool_call": "ctc", "custom_tool_call_output": "ctc"}  # fmt: skip


def input_tokens(count: int) -> bytes:
    """The answer to a question about the tokens of an input."""
    return _encode({"object": "response.input_tokens", "input_tokens": count})
