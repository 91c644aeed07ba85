"""A chat completion's answer as a record, and a record as an answer.

What a provider sends is read as far as possible: `formats/openai/answer.py` has judged whether it is an answer at all.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob, created_at
from meshd.formats.conversation.parts import Image, Part, Source, Text, ToolCall
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, as_it_came, not_too_deep
from meshd.formats.conversation.request import Conversation
from meshd.formats.conversation.tools.freeform import custom_again
from meshd.formats.openai.conversation.annotations import taken_annotations, written_annotations
from meshd.formats.openai.conversation.content import FORMAT, read_content, read_part, written_content
from meshd.formats.openai.conversation.messages import read_said, written_said
from meshd.formats.openai.conversation.reasoning import taken_reasoning, written_reasoning
from meshd.formats.openai.conversation.request import uses_functions
from meshd.formats.openai.usage import usage_in, usage_map

_FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "content_filter": Finish.FILTER,
}
_OTHER_FINISHES = {
    "function_call": Finish.TOOL_CALLS,
    "tool_use": Finish.TOOL_CALLS,
    "end_turn": Finish.STOP,
    "eos": Finish.STOP,
    "stop_sequence": Finish.SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.CONTEXT,
    "safety": Finish.FILTER,
    "refusal": Finish.REFUSAL,
}
"""Left by servers that translate from another format."""
_WRITTEN = {
    **{finish: name for name, finish in _FINISHES.items()},
    Finish.CONTEXT: "length",
    Finish.REFUSAL: "content_filter",
}
_OBJECT = "chat.completion"
_encode = msgspec.json.Encoder().encode


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """Raises Unreadable."""
    document = answer_of(body)
    given = document.pop("choices", None)
    if not isinstance(given, list):
        given = [given] if isinstance(given, dict) else []
    choices = tuple(
        _read_choice(Fields.of(choice, "", FORMAT, strict=False), position) for position, choice in enumerate(given)
    )
    return replace(_read_top(Fields(document, "", FORMAT, strict=False)), choices=choices)


def _read_top(fields: Fields) -> Answer:
    """Everything but its choices."""
    usage = usage_in(fields.left)
    if usage is not None and fields.left.get("usage") == usage_map(usage):
        del fields.left["usage"]
    if fields.take("object") != _OBJECT:
        fields.odd()
    id, model = fields.text("id", always=True), fields.text("model", always=True)
    created = fields.whole("created")
    if created is None:
        fields.odd()
    return Answer((), id, model, created, usage, original=fields.original())


def _read_choice(fields: Fields, position: int) -> Choice:
    index = fields.whole("index")
    if index is None:
        fields.odd()
        index = position
    finish, logprobs = read_finish(fields), read_logprobs(fields)
    message = fields.inner("message")
    if message.left.pop("role", None) != "assistant":
        message.odd()
    reasoning, cited = taken_reasoning(message), taken_annotations(message)
    content = read_content(message, assistant=True)
    if len(content) > 1 or any(not isinstance(part, Text) or part.original for part in content):
        message.odd()
    parts = (*reasoning, *content, *_images(message.left), *read_said(message))
    fields.keep(message)
    return Choice(parts, finish, index, "", logprobs, cited, original=fields.original())


def _images(message: dict[str, Any]) -> list[Image]:
    """OpenRouter's `images`; the field stays."""
    entries = message.get("images")
    listed = entries if isinstance(entries, list) else []
    parts = [read_part(Fields.of(entry, "", FORMAT, strict=False)) for entry in listed]
    return [part for part in parts if isinstance(part, Image) and part.source != Source()]


def read_finish(fields: Fields) -> Finish | None:
    """Take a choice's finish reason; None if there is none."""
    reason = fields.left.pop("finish_reason", None)
    if reason is None:
        return None
    known = _FINISHES.get(reason) if isinstance(reason, str) else None
    if known is not None:
        return known
    fields.odd()
    return _OTHER_FINISHES.get(reason.lower(), Finish.OTHER) if isinstance(reason, str) else None


def written_finish(finish: Finish | None, *, deprecated: bool) -> str | None:
    """deprecated: the app asked with `functions`."""
    if deprecated and finish is Finish.TOOL_CALLS:
        return "function_call"
    return None if finish is None else _WRITTEN.get(finish, "stop")


def read_logprobs(fields: Fields) -> tuple[TokenLogprob, ...]:
    """Take a choice's log probabilities, of its content only."""
    if fields.left.get("logprobs") is None:
        fields.take("logprobs")
        return ()
    value = fields.take("logprobs")
    content = value.get("content") if isinstance(value, dict) else None
    entries = content if isinstance(content, list) else []
    found = tuple(read for entry in entries if (read := _read_logprob(entry)) is not None)
    if value != written_logprobs(found):
        fields.odd()
    return found


def _read_logprob(entry: Any) -> TokenLogprob | None:
    if not isinstance(entry, dict):
        return None
    token, logprob, spelled, top = (
        entry.get("token"),
        entry.get("logprob"),
        entry.get("bytes"),
        entry.get("top_logprobs"),
    )
    if not isinstance(token, str) or not isinstance(logprob, float | int) or not math.isfinite(logprob):
        return None
    is_bytes = isinstance(spelled, list) and all(type(byte) is int and 0 <= byte < 256 for byte in spelled)
    likeliest = [_read_logprob(each) for each in top] if isinstance(top, list) else []
    kept = tuple(each for each in likeliest if each is not None)
    return TokenLogprob(token, logprob, bytes(spelled or ()) if is_bytes else None, kept)


def written_logprobs(logprobs: tuple[TokenLogprob, ...]) -> dict[str, Any] | None:
    if not logprobs:
        return None
    content = [{**_logprob(each), "top_logprobs": [_logprob(likely) for likely in each.top]} for each in logprobs]
    return {"content": content, "refusal": None}


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    spelled = None if token.spelled is None else list(token.spelled)
    return {"token": token.token, "logprob": token.logprob, "bytes": spelled}


def write_answer(answer: Answer, asked: Conversation | None = None) -> bytes:
    """The body. asked: the request, since it may want the deprecated spelling."""
    answer = custom_again(answer, asked)
    deprecated = uses_functions(asked)
    made: dict[str, Any] = {
        "id": answer.id,
        "object": _OBJECT,
        "created": created_at(answer.created),
        "model": answer.model,
    }
    if answer.usage is not None:
        made["usage"] = usage_map(answer.usage)
    top = as_it_came(replace(answer, choices=()), made, FORMAT, _read_top)
    if isinstance(top, msgspec.Raw):
        top = msgspec.json.decode(top)
    choices = [
        as_it_came(
            choice,
            _written_choice(choice, deprecated=deprecated),
            FORMAT,
            partial(_read_choice, position=choice.index),
        )
        for choice in answer.choices
    ]
    return _encode({**top, "choices": choices})


def _written_choice(choice: Choice, *, deprecated: bool) -> dict[str, Any]:
    finish = written_finish(choice.finish, deprecated=deprecated)
    message = _written_message(choice.parts, deprecated=deprecated)
    if cited := written_annotations(choice.citations):
        message["annotations"] = cited
    made: dict[str, Any] = {"index": choice.index, "message": message, "finish_reason": finish}
    if choice.logprobs:
        made["logprobs"] = written_logprobs(choice.logprobs)
    return made


def _written_message(parts: tuple[Part, ...], *, deprecated: bool) -> dict[str, Any]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    message |= written_reasoning(parts) | written_said(parts, answer=True)
    if images := [part for part in parts if isinstance(part, Image) and (part.source.url or part.source.data)]:
        message["images"] = written_content(images, None)
    if deprecated and message.get("tool_calls"):
        call = next(part for part in parts if isinstance(part, ToolCall))
        del message["tool_calls"]
        message["function_call"] = {"name": call.name, "arguments": call.arguments}
    return message
