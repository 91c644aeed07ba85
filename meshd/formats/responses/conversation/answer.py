"""A response as an answer, and an answer as a response.

What a provider sends is read as far as possible: `formats/responses/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob, created_at
from meshd.formats.conversation.citations import by_part
from meshd.formats.conversation.parts import Original, Part, Reasoning, Refusal, Text, ToolCall
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, json_of, not_too_deep
from meshd.formats.conversation.request import Conversation, Tool
from meshd.formats.conversation.tools.freeform import custom_again
from meshd.formats.conversation.tools.tool_names import by_name
from meshd.formats.openai.conversation.answer import read_logprobs, written_logprobs
from meshd.formats.responses.conversation.annotations import citations_of, written_annotations
from meshd.formats.responses.conversation.content import FORMAT
from meshd.formats.responses.conversation.items import call_item, parts_of, read_items, reasoning_item, said_part
from meshd.formats.responses.conversation.request import echoed
from meshd.formats.responses.ids import item_id, response_id
from meshd.formats.responses.usage import usage_in, usage_map

_INCOMPLETE = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.FILTER,
}
_REASONS = {
    Finish.LENGTH: "max_output_tokens",
    Finish.CONTEXT: "max_output_tokens",
    Finish.FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
}
_encode = msgspec.json.Encoder().encode
_raw_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """Raises Unreadable."""
    return read_response(answer_of(body))


def read_response(document: dict[str, Any]) -> Answer:
    given = document.get("output")
    items = given if isinstance(given, list) else []
    came = [json_of(item) for item in items]
    parts = parts_of(read_items(items, came, "", strict=False))
    finish = finish_of(document, parts)
    cited = citations_of(given)
    choice = Choice(
        parts, finish, 0, "", logprobs_of(given), cited, original=Original(FORMAT, b"[" + b",".join(came) + b"]")
    )
    rest = {name: value for name, value in document.items() if name != "output"}
    return replace(_read_top(rest), choices=(choice,))


def _read_top(document: dict[str, Any]) -> Answer:
    """Everything but its output."""
    fields = Fields(document, "", FORMAT, strict=False)
    id, model, created = fields.text("id"), fields.text("model"), fields.number("created_at")
    created = None if created is None else int(created)
    return Answer((), id, model, created, usage_in(document), original=Original(FORMAT, json_of(document)))


def finish_of(response: Mapping[str, Any], parts: tuple[Part, ...]) -> Finish | None:
    status, details = response.get("status"), response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if status == "incomplete":
        return _INCOMPLETE.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER
    if status in ("failed", "cancelled"):
        return Finish.OTHER
    if status in ("in_progress", "queued"):
        return None
    return Finish.TOOL_CALLS if any(isinstance(part, ToolCall) for part in parts) else Finish.STOP


def logprobs_of(output: Any) -> tuple[TokenLogprob, ...]:
    """The log probabilities of all texts."""
    found: list[TokenLogprob] = []
    for item in output if isinstance(output, list) else ():
        content = item.get("content") if isinstance(item, dict) and item.get("type") == "message" else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("logprobs"):
                found += read_token_logprobs(part["logprobs"])
    return tuple(found)


def read_token_logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    """They are as in the chat format, but without the map around them."""
    return read_logprobs(Fields({"logprobs": {"content": value}}, "", FORMAT, strict=False)) if value else ()


def written_token_logprobs(logprobs: tuple[TokenLogprob, ...]) -> list[Any]:
    made = written_logprobs(logprobs)
    return [] if made is None else [_with_bytes(each) for each in made["content"]]


def _with_bytes(entry: dict[str, Any]) -> dict[str, Any]:
    """In this API, tokens always have their bytes."""
    made = {**entry, "bytes": entry["bytes"] if entry["bytes"] is not None else list(entry["token"].encode())}
    return made | ({"top_logprobs": list(map(_with_bytes, entry["top_logprobs"]))} if "top_logprobs" in entry else {})


def write_answer(answer: Answer, asked: Conversation | None = None) -> bytes:
    """The body. asked: the request, which a response repeats in part."""
    return _encode(written_response(answer, asked))


def written_response(answer: Answer, asked: Conversation | None = None) -> dict[str, Any]:
    whole = custom_again(answer, asked)
    choice = whole.choices[0] if whole.choices else Choice()
    base = response_id(answer.id)
    made = skeleton(base, answer.model, answer.created, asked) | closing(choice.finish, answer.usage)
    original = answer.original
    if original is not None and original.format == FORMAT:
        came = msgspec.json.decode(original.json)
        same = _read_top(came) == replace(answer, choices=()) and finish_of(came, choice.parts) is choice.finish
        made = came if same else {**came, **made}
    made["output"] = _output(choice, base, asked)
    return made


def _output(choice: Choice, base: str, asked: Conversation | None) -> Any:
    original = choice.original
    if original is not None and original.format == FORMAT and _said_in(original.json) == choice.parts:
        return msgspec.Raw(original.json)
    tools = {} if asked is None else by_name(asked.tools)
    return written_output(choice, base, tools)


def _said_in(output: bytes) -> tuple[Part, ...]:
    return parts_of(read_items(msgspec.json.decode(output), _raw_items(output), "", strict=False))


def written_output(choice: Choice, base: str, tools: Mapping[str, Tool]) -> list[Any]:
    """The items of an answer. base: the id from which theirs are made."""
    items: list[Any] = []
    content: list[Any] = []
    status = item_status(choice.finish)
    logprobs = choice.logprobs
    ids = Ids()
    for part, cited in zip(choice.parts, by_part(choice.parts, choice.citations), strict=True):
        if isinstance(part, Text | Refusal):
            if not content:
                message = {"type": "message", "id": item_id("msg", base, len(items)), "role": "assistant"}
                items.append({**message, "status": "completed", "content": content})
            said = written_token_logprobs(logprobs) if isinstance(part, Text) else None
            content.append(said_part(part, said, written_annotations(cited)))
            logprobs = () if isinstance(part, Text) else logprobs
            continue
        content = []
        if isinstance(part, Reasoning):
            items.append(reasoning_item(part, ids.own(part.id, "rs", base, len(items))))
        elif isinstance(part, ToolCall):
            items.append(written_call(part, base, len(items), tools, ids))
        elif part.original is not None and part.original.format == FORMAT:
            items.append(msgspec.Raw(part.original.json))
    if items and isinstance(items[-1], dict) and "status" in items[-1]:
        items[-1]["status"] = status
    return items


class Ids:
    """The ids of one answer, by which apps distinguish its items."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def own(self, id: str, kind: str, base: str, index: int) -> str:
        """The provider's id, or a new one if it gave none, or gave it twice."""
        if not id or id in self._used:
            id = item_id(kind, base, index)
        self._used.add(id)
        return id


def written_call(part: ToolCall, base: str, index: int, tools: Mapping[str, Tool], ids: Ids) -> dict[str, Any]:
    own = ids.own(part.id, "call", base, index)
    call = part if own == part.id else replace(part, id=own)
    id = item_id("ctc" if part.custom else "fc", base, index)
    return {"id": id, **call_item(call, tools)} | ({} if part.custom else {"status": "completed"})


def skeleton(id: str, model: str, created: int | None, asked: Conversation | None) -> dict[str, Any]:
    """A response that has just begun."""
    return {
        "id": id,
        "object": "response",
        "created_at": created_at(created),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        **echoed(asked),
        "usage": None,
    }


def closing(finish: Finish | None, usage: Any) -> dict[str, Any]:
    """What has changed at the end."""
    reason = _REASONS.get(finish) if finish is not None else None
    return {
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "usage": None if usage is None else usage_map(usage),
    }


def item_status(finish: Finish | None) -> str:
    return "incomplete" if finish in _REASONS else "completed"
