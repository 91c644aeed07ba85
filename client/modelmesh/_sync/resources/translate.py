# Generated from modelmesh/_async/resources/translate.py by client/sync_twins.py; edit that file.
"""`client.translate`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object


class Translate(Resource):
    _called = "client.translate"

    def create(self, *, text: str | list[str], target: str, **params: Any) -> Any:
        """Translate texts: an Object whose `translations` have `text` and `source`, the language that was given or
        detected. target, source: languages, such as `de` or `pt-BR`.

        formality (`more`, `less`, `default`), format (`text`, `html`), context.
        """
        asked = {"text": text, "target": target, **params}
        return self._sender.ask("/v1/translate", Object, "translation", asked)
