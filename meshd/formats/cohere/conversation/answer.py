"""A chat's answer as a neutral one, and the reverse.

What a provider sends is read as far as possible: `formats/cohere/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec

from meshd.formats.cohere.conversation.citations import citations_of, written_citations
from meshd.formats.cohere.conversation.content import FORMAT
from meshd.formats.cohere.conversation.messages import read_said, written_call
from meshd.formats.cohere.usage import usage_in, usage_map
from meshd.formats.conversation.answer import Answer, Choice, Finish
from meshd.formats.conversation.parts import Audio, Part, Reasoning, Refusal, Text, ToolCall
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, not_too_deep
from meshd.formats.conversation.request import Conversation
from meshd.sdk.provider import Usage

_FINISHES = {
    "COMPLETE": Finish.STOP,
    "STOP_SEQUENCE": Finish.SEQUENCE,
    "MAX_TOKENS": Finish.LENGTH,
    "TOOL_CALL": Finish.TOOL_CALLS,
}
_WRITTEN = {finish: name for name, finish in _FINISHES.items()} | {Finish.CONTEXT: "MAX_TOKENS"}
_encode = msgspec.json.Encoder().encode


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """Raises Unreadable."""
    fields = Fields(answer_of(body), "", FORMAT, strict=False)
    message = fields.inner("message")
    cited = citations_of(message.left)
    choice = Choice(tuple(read_said(message)), read_finish(fields.left.get("finish_reason")), citations=cited)
    return Answer((choice,), fields.text("id"), usage=usage_in(fields.left.get("usage")))


def read_finish(reason: Any) -> Finish | None:
    return _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) and reason else None


def written_finish(finish: Finish | None, *, calls: bool) -> str:
    if calls and finish in (None, Finish.STOP, Finish.OTHER):
        return "TOOL_CALL"
    return "COMPLETE" if finish is None else _WRITTEN.get(finish, "COMPLETE")


def new_id(id: str) -> str:
    return id or str(uuid4())


def write_answer(answer: Answer, asked: Conversation | None = None) -> bytes:
    """The body: of the first choice, as only one can be asked for. What the API cannot express is left out: sound,
    images, likelihoods."""
    choice = min(answer.choices, key=lambda choice: choice.index, default=Choice())
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", **_said(choice.parts, planned=bool(calls))}
    if calls:
        message["tool_calls"] = [written_call(msgspec.structs.replace(call, custom=False)) for call in calls]
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    if cited := written_citations(text, choice.citations):
        message["citations"] = cited
    made = {"id": new_id(answer.id), "finish_reason": written_finish(choice.finish, calls=bool(calls))}
    return _encode({**made, "message": message, "usage": usage_map(answer.usage or Usage())})


def _said(parts: Sequence[Part], *, planned: bool) -> dict[str, Any]:
    thoughts = [{"type": "thinking", "thinking": part.text} for part in parts if isinstance(part, Reasoning)]
    texts = [part.text for part in parts if isinstance(part, Text | Refusal)]
    texts += [part.transcript for part in parts if isinstance(part, Audio)]
    if planned:
        said: dict[str, Any] = {"content": [block for block in thoughts if block["thinking"]]}
        return {name: value for name, value in (said | {"tool_plan": "".join(texts)}).items() if value}
    content = [block for block in thoughts if block["thinking"]]
    return {"content": [*content, *({"type": "text", "text": text} for text in texts if text)]}
