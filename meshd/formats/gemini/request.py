"""A request's body for one provider: the app's own, with top-level values replaced and nothing re-encoded.

The model and whether it is streamed are in the path. To get the rest of a broken answer, the text so far is sent as the
model's turn, and an instruction after it. The quirks `rename` and `drop` are as for OpenAI's format; with `vertex`,
embeddings are asked as Vertex AI takes them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.gemini.operations.vertex import written
from meshd.formats.openai.body.prefill import continue_turn
from meshd.sdk.provider import ProviderCall, ProviderSettings
from meshd.sdk.reading.lenient import whole

IN_THE_PATH = frozenset({"model", "stream"})
_encode = msgspec.json.Encoder().encode
_contents = msgspec.json.Decoder(list[msgspec.Raw]).decode


class RequestWriter:
    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self._rename: dict[str, str] = dict(quirks.get("rename") or {})
        self._drop = frozenset(quirks.get("drop") or ()) | IN_THE_PATH
        self._vertex = bool(quirks.get("vertex"))

    def write(self, call: ProviderCall) -> bytes:
        fields: dict[str, Any] = written(call.fields, call.model) if self._vertex else dict(call.fields)
        if call.so_far.strip():
            fields["contents"] = self._continued(call)
        return _encode({self._rename.get(name, name): raw for name, raw in fields.items() if name not in self._drop})

    def _continued(self, call: ProviderCall) -> list[Any]:
        given = whole(bytes(call.fields.get("contents", b"[]"))).strip()
        contents: list[Any] = _contents(given) if given.startswith(b"[") else [msgspec.Raw(given)]
        contents.append({"role": "model", "parts": [{"text": call.so_far}]})
        contents.append({"role": "user", "parts": [{"text": continue_turn(call.fields)["content"]}]})
        return contents
