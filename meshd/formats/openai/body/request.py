"""A request's body for one provider: the app's own, with top-level values replaced and nothing re-encoded.

The provider's differences are quirks (`meshd/catalogue/providers.toml`): `prefill`, `no_stream_options`, and those of
`quirks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meshd.formats.openai import wire
from meshd.formats.openai.body.prefill import continued, prefill_of
from meshd.formats.openai.body.quirks import BodyQuirks
from meshd.sdk.calls.form import NotAForm
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings

_TRUE: Final = msgspec.Raw(b"true")
_encode = msgspec.json.Encoder().encode


class RequestWriter:
    """Raises ValueError for invalid quirks."""

    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self._quirks = BodyQuirks(settings)
        self._prefill = prefill_of(quirks, settings.name)
        self._stream_options = not quirks.get("no_stream_options")

    def write(self, call: ProviderCall) -> bytes:
        """Raises ProviderFailure if the rest of an answer cannot be asked for."""
        given = self._quirks.in_messages(call.fields)
        if call.so_far:
            given = continued(given, call.operation, call.so_far, self._prefill)
        fields: dict[str, Any] = {**given, "model": call.model}
        if call.operation.answers:
            pass  # the app's own fields say what it gets
        elif call.stream:
            fields["stream"] = _TRUE
            if not self._stream_options:
                fields.pop("stream_options", None)
            elif not wire.asks_for_usage(call.fields):
                fields["stream_options"] = wire.with_usage(call.fields.get("stream_options"))
        else:
            fields.pop("stream", None)
            fields.pop("stream_options", None)
        fields = self._quirks.applied(fields, call.model, lambda: _effort(given))
        if call.form is None:
            return _encode(fields)
        try:
            return call.form.written({**fields, "model": msgspec.Raw(_encode(call.model))})
        except NotAForm as error:
            raise ProviderFailure(FailureKind.UNSUPPORTED, str(error), unsent=True) from None


def _effort(fields: Mapping[str, msgspec.Raw]) -> str:
    return bytes(fields.get("reasoning_effort", b"")).decode(errors="replace").strip('"').removeprefix("null")


def choices_asked_for(call: ProviderCall) -> int:
    raw = call.fields.get("n")
    text = bytes(raw) if raw is not None else b"1"
    return int(text) if text.isdigit() and len(text) < 4 else 1


def asks_for_no_vectors(call: ProviderCall) -> bool:
    if call.operation.output or (given := call.fields.get(call.operation.text[0])) is None:
        return False
    return len(given) < 64 and bytes(given).translate(None, b" \t\r\n") == b"[]"
