"""A request's body for one provider: the app's own, with top-level values replaced and nothing re-encoded.

The provider's differences are quirks (`meshd/catalogue/providers.toml`): those of `formats/openai/body/quirks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.openai.body.prefill import continue_turn
from meshd.formats.openai.body.quirks import BodyQuirks
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from meshd.sdk.reading.lenient import UNREADABLE, whole

_TRUE = msgspec.Raw(b"true")
_encode = msgspec.json.Encoder().encode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class RequestWriter:
    """Raises ValueError for invalid quirks."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._quirks = BodyQuirks(settings)

    def write(self, call: ProviderCall) -> bytes:
        """Raises ProviderFailure if the rest of an answer cannot be asked for."""
        fields: dict[str, Any] = {**call.fields, "model": call.model}
        if call.so_far:
            fields["input"] = _continued(call.fields, call.so_far)
        if call.stream:
            fields["stream"] = _TRUE
        else:
            fields.pop("stream", None)
            fields.pop("stream_options", None)
        return _encode(self._quirks.applied(fields, call.model, lambda: _effort(call.fields)))


def _effort(fields: Mapping[str, msgspec.Raw]) -> str:
    try:
        reasoning = msgspec.json.decode(fields.get("reasoning", b"null"))
    except UNREADABLE:
        return ""
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    return effort if isinstance(effort, str) else ""


def _continued(fields: Mapping[str, msgspec.Raw], so_far: str) -> list[Any]:
    """The input with a request for the rest of an answer, as this API has no prefill."""
    given = bytes(fields.get("input", b'""'))
    said = {"type": "message", "role": "assistant", "content": so_far}
    if given.startswith(b'"'):
        return [{"type": "message", "role": "user", "content": msgspec.Raw(given)}, said, continue_turn(fields)]
    try:
        return [*_items(whole(given)), said, continue_turn(fields)]
    except UNREADABLE:
        message = "the input is not a list of items, so no answer can follow it"
        raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True) from None
