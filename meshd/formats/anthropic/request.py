"""A request's body for one provider: the app's own, with top-level values replaced and nothing re-encoded.

To get the rest of a broken answer, the text so far is sent as the assistant's turn. Claude up to 4.5 continues it.
Later versions, and all that think, want a user's turn at the end: for them, and for unknown servers, an instruction
follows it. The quirk `prefill` (`assistant`, `instruct`) says otherwise; others are `rename` and `drop`, as for
OpenAI's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.anthropic.body.caching import with_marks
from meshd.formats.anthropic.body.citations import without_foreign
from meshd.formats.anthropic.body.parameters import largest_output
from meshd.formats.anthropic.versions import continues_prefill
from meshd.formats.openai.body.prefill import continue_turn
from meshd.sdk.provider import ProviderCall, ProviderSettings
from meshd.sdk.reading.lenient import UNREADABLE, whole

_PREFILLS = ("assistant", "instruct")
_TRUE = msgspec.Raw(b"true")
_encode = msgspec.json.Encoder().encode
_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class RequestWriter:
    """Raises ValueError for an unknown `prefill`."""

    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self._rename: dict[str, str] = dict(quirks.get("rename") or {})
        self._drop = frozenset(quirks.get("drop") or ())
        self._prefill = quirks.get("prefill")
        if self._prefill not in (None, *_PREFILLS):
            raise ValueError(
                f"provider {settings.name}: prefill {self._prefill!r} is not one of {', '.join(_PREFILLS)}"
            )

    def write(self, call: ProviderCall) -> bytes:
        given = with_marks(call.fields) if call.mark_caches else call.fields
        if (messages := given.get("messages")) is not None:
            given = {**given, "messages": without_foreign(messages)}
        fields: dict[str, Any] = {**given, "model": call.model}
        if "max_tokens" not in fields:  # this API requires it
            fields["max_tokens"] = call.most_output or largest_output(call.model)
        if call.so_far.strip():
            fields["messages"] = self._continued(call, given)
        if call.stream:
            fields["stream"] = _TRUE
        else:
            fields.pop("stream", None)
        if self._rename or self._drop:
            fields = {self._rename.get(name, name): raw for name, raw in fields.items() if name not in self._drop}
        return _encode(fields)

    def _continued(self, call: ProviderCall, fields: Mapping[str, msgspec.Raw]) -> list[Any]:
        messages: list[Any] = _messages(whole(bytes(fields.get("messages", b"[]"))))
        messages.append({"role": "assistant", "content": call.so_far})
        how = self._prefill or ("assistant" if continues_prefill(call.model) else "instruct")
        # A turn that is to be continued is refused if it ends in white space.
        if how == "instruct" or call.so_far[-1].isspace() or thinks(call.fields):
            messages.append(continue_turn(call.fields))
        return messages


def thinks(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a request asks for reasoning."""
    try:
        thinking = _object(fields.get("thinking", b"{}"))
        return bytes(thinking.get("type", b"")) not in (b"", b'"disabled"')
    except UNREADABLE:
        return False
