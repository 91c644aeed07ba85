"""A request's body for one provider: the translated one, asking for the rest of an answer or with marks for the prompt
cache if the call says so.

To get the rest of a broken answer, the text so far is sent as the assistant's turn. Claude up to 4.5 continues it; for
others, and with tools or thinking, an instruction follows it. The quirk `prefill` (`assistant`, `instruct`) says
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.anthropic.versions import continues_prefill
from meshd.formats.bedrock.families import marks_tools, takes_marks
from meshd.formats.openai.body.prefill import CONTINUE, CONTINUE_WITH_TOOLS
from meshd.sdk.provider import ProviderCall, ProviderSettings
from meshd.sdk.reading.lenient import whole

_PREFILLS = ("assistant", "instruct")
_TURNS = 2
"""The number of user turns that are marked: the mark of the second-last turn finds what the last request wrote."""
_POINT = msgspec.Raw(b'{"cachePoint":{"type":"default"}}')
_encode = msgspec.json.Encoder().encode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class RequestWriter:
    """Raises ValueError for an unknown `prefill`."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._prefill = settings.quirks.get("prefill")
        if self._prefill not in (None, *_PREFILLS):
            raise ValueError(
                f"provider {settings.name}: prefill {self._prefill!r} is not one of {', '.join(_PREFILLS)}"
            )

    def write(self, call: ProviderCall) -> bytes:
        fields: Mapping[str, Any] = call.fields
        if call.mark_caches and takes_marks(call.model):
            fields = with_marks(call.fields, tools=marks_tools(call.model))
        if call.so_far.strip():
            fields = {**fields, "messages": self._continued(call, fields)}
        return _encode(fields)

    def _continued(self, call: ProviderCall, fields: Mapping[str, Any]) -> list[Any]:
        messages: list[Any] = _list(whole(bytes(fields["messages"])))
        messages.append({"role": "assistant", "content": [{"text": call.so_far}]})
        how = self._prefill or ("assistant" if continues_prefill(call.model) else "instruct")
        tools = "toolConfig" in fields
        thinks = b'"thinking"' in bytes(fields.get("additionalModelRequestFields", b""))
        # A turn that is to be continued is refused if it ends in white space.
        if how == "instruct" or call.so_far[-1].isspace() or tools or thinks:
            turn = CONTINUE_WITH_TOOLS if tools else CONTINUE
            messages.append({"role": "user", "content": [{"text": turn["content"]}]})
        return messages


def with_marks(fields: Mapping[str, msgspec.Raw], *, tools: bool) -> Mapping[str, Any]:
    """The request with marks after the tools, the system prompt and the last two turns of the user; the same if it has
    marks of its own. tools: whether the model takes them there.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html, 2026-11-28
    """
    if any(b'"cachePoint"' in bytes(raw) for raw in fields.values()):
        return fields
    made: dict[str, Any] = dict(fields)
    if "system" in fields:
        made["system"] = [*_list(whole(bytes(fields["system"]))), _POINT]
    if tools and "toolConfig" in fields:
        config: dict[str, Any] = dict(_object(whole(bytes(fields["toolConfig"]))))
        made["toolConfig"] = {**config, "tools": [*_list(bytes(config["tools"])), _POINT]}
    messages: list[Any] = list(_list(whole(bytes(fields["messages"]))))
    turns = 0
    for at in range(len(messages) - 1, -1, -1):
        message: dict[str, Any] = dict(_object(messages[at]))
        if bytes(message["role"]) == b'"user"' and turns < _TURNS:
            messages[at] = {**message, "content": [*_list(bytes(message["content"])), _POINT]}
            turns += 1
    return {**made, "messages": messages}
