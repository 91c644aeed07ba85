# Generated from modelmesh/_async/resources/moderations.py by client/sync_twins.py; edit that file.
"""`client.moderations`."""

from __future__ import annotations

from typing import Any

from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object


class Moderations(Resource):
    _called = "client.moderations"

    def create(self, *, input: Any, **params: Any) -> Any:
        """Classify whether texts or images are harmful: an Object with `results`."""
        return self._sender.ask("/v1/moderations", Object, "content-moderation", {"input": input, **params})
