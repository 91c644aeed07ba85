"""A message as an answer, and an answer as a message.

What a provider sends is read as far as possible: `formats/anthropic/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec

from meshd.formats.anthropic.conversation.citations import citations_of, cut
from meshd.formats.anthropic.conversation.content import FORMAT, read_block, written_blocks
from meshd.formats.anthropic.usage import usage_in, usage_map
from meshd.formats.conversation.answer import Answer, Choice, Finish
from meshd.formats.conversation.parts import Part, Refusal, ToolCall
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, as_it_came, not_too_deep
from meshd.formats.conversation.request import Conversation
from meshd.sdk.provider import Usage

_FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.CONTEXT,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.REFUSAL,
    "pause_turn": Finish.PAUSE,
}
_WRITTEN = {
    **{finish: name for name, finish in _FINISHES.items()},
    Finish.FILTER: "refusal",
    Finish.OTHER: "end_turn",
}
_encode = msgspec.json.Encoder().encode


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """Raises Unreadable."""
    return _read(Fields(answer_of(body), "", FORMAT, strict=False))


def _read(fields: Fields) -> Answer:
    if (fields.take("type"), fields.take("role")) != ("message", "assistant"):
        fields.odd()
    id, model = fields.text("id", always=True), fields.text("model", always=True)
    content = fields.take("content")
    if not isinstance(content, list):
        fields.odd()
        content = []
    parts = tuple(read_block(Fields.of(block, "", FORMAT, strict=False)) for block in content)
    finish, sequence = read_finish(fields)
    usage = usage_in(fields.left.get("usage"))
    if usage is not None and fields.left.get("usage") == usage_map(usage):
        del fields.left["usage"]
    elif "usage" not in fields.left:
        fields.odd()
    if fields.left.get("stop_reason") != written_finish(finish, parts) or "stop_sequence" not in fields.left:
        fields.odd()
    for name in ("stop_reason", "stop_sequence"):
        fields.left.pop(name, None)
    choice = Choice(parts, finish, 0, sequence, (), citations_of(content))
    return Answer((choice,), id, model, None, usage, original=fields.original())


def read_finish(fields: Fields) -> tuple[Finish | None, str]:
    """Why an answer ended, and the stop text that ended it; the fields stay."""
    reason, sequence = fields.left.get("stop_reason"), fields.left.get("stop_sequence")
    finish = _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) and reason else None
    if sequence is not None and (not isinstance(sequence, str) or not sequence):
        fields.odd()
        sequence = None
    return finish, sequence or ""


def written_finish(finish: Finish | None, parts: tuple[Part, ...] = ()) -> str:
    """The stop reason. An app looks for tool calls only if this says that there are some."""
    if any(isinstance(part, Refusal) for part in parts):
        return "refusal"
    if finish in (None, Finish.STOP, Finish.OTHER) and any(isinstance(part, ToolCall) for part in parts):
        return "tool_use"
    return "end_turn" if finish is None else _WRITTEN[finish]


def message_head(id: str, model: str) -> dict[str, Any]:
    """The fields of a message without content. An app may distinguish messages by their ids."""
    return {"id": id or f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": model}


def write_answer(answer: Answer, asked: Conversation | None = None) -> bytes:
    """The body: of the first choice, as only one can be asked for. What the API cannot express is left out: sound,
    images, likelihoods."""
    choice = min(answer.choices, key=lambda choice: choice.index, default=Choice())
    made = {
        **message_head(answer.id, answer.model),
        "content": _blocks(choice),
        "stop_reason": written_finish(choice.finish, choice.parts),
        "stop_sequence": choice.sequence or None,
        "usage": usage_map(answer.usage or Usage()),
    }
    return _encode(as_it_came(answer, made, FORMAT, _read))


def _blocks(choice: Choice) -> list[Any]:
    """A text is cut into pieces, by what each cites."""
    if not choice.citations:
        return written_blocks(choice.parts, answer=True)
    cited = [(written_blocks([part], answer=True), each) for part, each in cut(choice.parts, choice.citations)]
    return [{**block, "citations": each} if each else block for blocks, each in cited for block in blocks]
