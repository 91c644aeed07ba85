"""A request's body for one provider: the translated one, with this model. To get the rest of a broken answer, an
instruction follows the text so far.

Quirks of a provider: `rename` and `drop`, as for OpenAI's format.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.openai.body.prefill import continue_turn
from meshd.sdk.provider import ProviderCall, ProviderSettings
from meshd.sdk.reading.lenient import whole

_TRUE = msgspec.Raw(b"true")
_encode = msgspec.json.Encoder().encode
_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode


class RequestWriter:
    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self._rename: dict[str, str] = dict(quirks.get("rename") or {})
        self._drop = frozenset(quirks.get("drop") or ())

    def write(self, call: ProviderCall) -> bytes:
        fields: dict[str, Any] = {**call.fields, "model": call.model}
        if call.so_far.strip():
            messages: list[Any] = _messages(whole(bytes(fields.get("messages", b"[]"))))
            fields["messages"] = [*messages, {"role": "assistant", "content": call.so_far}, continue_turn(call.fields)]
        if call.stream:
            fields["stream"] = _TRUE
        else:
            fields.pop("stream", None)
        if self._rename or self._drop:
            fields = {self._rename.get(name, name): raw for name, raw in fields.items() if name not in self._drop}
        return _encode(fields)
