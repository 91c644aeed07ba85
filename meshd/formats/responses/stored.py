"""What a store of responses needs from the format (`formats/keeping.py`): the part of a response that is kept, and the
whole input of a request that follows it.

Pure: where responses are kept, for how long and for which app is decided elsewhere. Items stay raw JSON.

An app retrieves `response`, lists `input_items` and continues with `follow_up`, which needs no more than the fields of
the new request and the stored response that it names.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from meshd.formats.keeping import Stored
from meshd.formats.responses.ids import item_id
from meshd.formats.responses.stream.assembled import Assembly
from meshd.formats.responses.wire import COMPLETED, CREATED, FAILED, INCOMPLETE, type_of
from meshd.host.plain_text import printable
from meshd.sdk.reading import lenient
from modelmesh.error_shapes import failed_response
from modelmesh.errors import InvalidRequestError, MeshError, NotFoundError

_PREVIOUS = "previous_response_id"
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")
_OPEN = (b'"in_progress"', b'"queued"')
_LAST = frozenset(kind.encode() for kind in (COMPLETED, INCOMPLETE, FAILED))
_LONGEST_ID = 256  # characters
_SESSION = "prompt_cache_key"
_LONGEST_SESSION = 64  # characters: the most that OpenAI accepts
MOST_LISTED = 100


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
    except lenient.UNREADABLE:
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
    except lenient.UNREADABLE:
        raise InvalidRequestError("`input` has to be text or a list of items", param="input") from None


def follow_up(fields: Mapping[str, msgspec.Raw], stored: Stored) -> dict[str, msgspec.Raw]:
    """The fields of a request that follows a stored response, with the whole conversation in its input and references
    to its items resolved. The conversation keeps one name, by which providers find their caches. Raises
    InvalidRequestError."""
    before = [*_raws(stored.input), *output_of(stored.response)]
    known = {id: item for item in before if (id := _member(item, "id"))}
    items = [*before, *(_resolved(item, known) for item in input_of(fields))]
    whole = {name: raw for name, raw in fields.items() if name != _PREVIOUS}
    session = stored.session or stored.id
    if bytes(whole.get(_SESSION, _NULL)) == b"null" and len(session) <= _LONGEST_SESSION:
        whole[_SESSION] = msgspec.Raw(_encode(session))
    return whole | {"input": msgspec.Raw(b"[" + b",".join(map(bytes, items)) + b"]")}


def follows(data: bytes, previous: str) -> bytes:
    """A response, or an event with one, with the name of the response that it follows; anything else is unchanged."""
    if b'"response"' not in data:
        return data
    try:
        document = _object(lenient.whole(data))
        inner = _object(document["response"]) if "response" in document else None
    except lenient.UNREADABLE:
        return data
    named = {_PREVIOUS: msgspec.Raw(_encode(previous))}
    if inner is not None:
        return _encode(document | {"response": inner | named})
    return _encode(document | named) if "output" in document else data


def no_previous(id: str) -> InvalidRequestError:
    """The error of a request that follows a missing response, in OpenAI's form."""
    return InvalidRequestError(
        f"Previous response with id '{printable(id[:80])}' not found.",
        code="previous_response_not_found",
        param=_PREVIOUS,
    )


def not_found(id: str) -> NotFoundError:
    return NotFoundError(
        f"Response with id '{printable(id[:80])}' not found.",
        code="response_not_found",
        type="invalid_request_error",
        param="response_id",
    )


def _resolved(item: msgspec.Raw, known: Mapping[str, msgspec.Raw]) -> msgspec.Raw:
    kind, id = _member(item, "type"), _member(item, "id")
    refers = kind == "item_reference" or (not kind and id and not _member(item, "role"))
    return known.get(id, item) if refers else item


def output_of(response: bytes) -> list[msgspec.Raw]:
    """The items of a response, each as it came; none if it has none."""
    try:
        return _raws(_object(lenient.whole(response)).get("output", b"[]"))
    except lenient.UNREADABLE:
        return []


def _text(raw: msgspec.Raw | None) -> str:
    """ "" for anything else."""
    try:
        return "" if raw is None else _string(lenient.whole(raw))
    except lenient.UNREADABLE:
        return ""


def _member(item: msgspec.Raw, name: str) -> str:
    """A text in an item, "" if it has none."""
    try:
        return _text(_object(item).get(name))
    except lenient.UNREADABLE:
        return ""


def stored(fields: Mapping[str, msgspec.Raw], response: bytes, previous: str = "") -> Stored | None:
    """The part of a request and its response that is kept; None if the response has no id. fields: as they were sent,
    with the whole conversation. previous: the response that the app's request followed."""
    try:
        document = _object(lenient.whole(response))
    except lenient.UNREADABLE:
        return None
    id = _member(msgspec.Raw(response), "id")
    if not id or len(id) > _LONGEST_ID:
        return None
    if previous:
        document[_PREVIOUS] = msgspec.Raw(_encode(previous))
    items = b"[" + b",".join(map(bytes, input_of(fields))) + b"]"
    return Stored(id, items, _encode(document), _text(fields.get(_SESSION)))


def is_last(data: bytes) -> bool:
    """Whether an event ends its stream: it has the whole response."""
    return b'"response"' in data and type_of(data) in _LAST


def assembling() -> Assembly:
    """Assembles a response from the events of a stream."""
    return Assembly()


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
        except lenient.UNREADABLE:
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


def input_tokens(tokens: int) -> bytes:
    """The answer to a question about the tokens of an input."""
    return _encode({"object": "response.input_tokens", "input_tokens": tokens})


# -- in the background ----------------------------------------------------------------------------------


def in_background(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app does not wait for the answer. Raises InvalidRequestError if that is not possible."""
    if bytes(fields.get("background", _NULL)) != b"true":
        return False
    if not is_stored(fields):
        raise InvalidRequestError("`background` needs `store`, as the answer is retrieved later", param="background")
    return True


def is_streamed(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app wants the events of its response."""
    return bytes(fields.get("stream", _NULL)) == b"true"


def in_foreground(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """The body of the same request, for an app that waits."""
    return _encode({name: raw for name, raw in fields.items() if name != "background"})


def queued(fields: Mapping[str, msgspec.Raw], previous: str) -> Stored:
    """A response that has not begun. Raises InvalidRequestError."""
    id = f"resp_{uuid.uuid4().hex}"
    document = {
        "id": id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "queued",
        "background": True,
        "error": None,
        "incomplete_details": None,
        "output": [],
        **{name: fields.get(name, default) for name, default in _REPEATED.items()},
        _PREVIOUS: previous or None,
        "usage": None,
    }
    made = stored(fields, _encode(document))
    assert made is not None, "it has an id"
    return made


_REPEATED: dict[str, Any] = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "model": "", "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": None,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None, "truncation": "disabled",
}  # fmt: skip
"""The parts of its request that a response repeats, and the API's defaults."""


def is_open(response: bytes) -> bool:
    """Whether a response has not ended yet."""
    return bytes(_object(lenient.whole(response)).get("status", b"")) in _OPEN


def is_of_background(response: bytes) -> bool:
    return bytes(_object(lenient.whole(response)).get("background", b"")) == b"true"


def begun(response: bytes) -> bytes:
    """A queued response, now in progress."""
    return _encode({**_object(response), "status": "in_progress"})


def finished(queued: bytes, answer: bytes) -> bytes:
    """The queued response with its answer, which came with an id of its own."""
    before = _object(queued)
    kept = {name: before[name] for name in ("id", "created_at", "background", _PREVIOUS)}
    return _encode({**_object(lenient.whole(answer)), **kept})


def failed(response: bytes, error: MeshError) -> bytes:
    """The response, failed with that error."""
    return _encode(failed_response(_object(response), error))


def cancelled(response: bytes) -> bytes:
    """The response after its cancellation; unchanged if it had ended."""
    document = _object(lenient.whole(response))
    return _encode({**document, "status": "cancelled"}) if is_open(response) else response


def first_events(queued: bytes) -> list[bytes]:
    """The events of a response that has not begun."""
    kinds = (CREATED, "response.queued")
    return [_event(kind, number, queued) for number, kind in enumerate(kinds)]


def event_of(queued: bytes, data: bytes, number: int) -> bytes:
    """An event of the answer, converted to an event of the queued response with that number; b"" for an event that the
    app has had, and for anything else."""
    try:
        document = _object(lenient.whole(data))
        response = document.get("response")
        if _member(msgspec.Raw(data), "type") in ("", CREATED):
            return b""
        changed: dict[str, Any] = {"sequence_number": number}
        if response is not None:
            changed["response"] = msgspec.Raw(finished(queued, bytes(response)))
    except lenient.UNREADABLE:
        return b""
    return _encode({**document, **changed})


def last_event(response: bytes, number: int) -> bytes:
    """The last event of a response that has ended in any way."""
    return _event(f"response.{_member(msgspec.Raw(response), 'status')}", number, response)


def _event(kind: str, number: int, response: bytes) -> bytes:
    return _encode({"type": kind, "sequence_number": number, "response": msgspec.Raw(response)})


def events_gone() -> InvalidRequestError:
    """The error for events that are not kept, or no longer."""
    return InvalidRequestError(
        "These events of the response are not kept here; retrieve it without `stream`.",
        param="stream",
        code="events_not_kept",
    )


def not_cancellable() -> InvalidRequestError:
    """The error in OpenAI's form."""
    return InvalidRequestError("Cannot cancel a synchronous response.", param="response_id", code="not_in_background")
