"""Checks what hooks return, and converts it for the gateway.

Must never: trust a value of a hook, or run one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.gateway.requests.request import InferenceRequest
from meshd.sdk.hooks import Change, Refusal
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import AccessDeniedError, MeshError


def error_of(name: str, said: Refusal) -> MeshError:
    if not isinstance(said.message, str) or not isinstance(said.code, str) or said.status not in range(400, 600):
        raise ValueError("its refusal has no message, no code, or a status that is not an error's")
    return AccessDeniedError(said.message, status_code=said.status, code=said.code, hook=name)


def changed_body(inference: InferenceRequest, change: Change) -> bytes:
    """The body with these fields."""
    fields: dict[str, msgspec.Raw] = dict(inference.fields)
    for field, value in change.fields.items():
        if value is None:
            fields.pop(field, None)
        else:
            fields[field] = msgspec.Raw(value)
    return msgspec.json.encode(fields)


def is_change(said: Change) -> bool:
    return all(
        isinstance(field, str)
        and field != "stream"
        and (value is None or (isinstance(value, bytes) and is_json(value)))
        for field, value in said.fields.items()
    )


def is_json(value: object) -> bool:
    if not isinstance(value, bytes):
        return False
    try:
        msgspec.json.decode(value)
    except UNREADABLE:
        return False
    return True


def are_events(chunks: object) -> bool:
    return isinstance(chunks, tuple) and all(map(is_json, chunks))


def is_refusal(said: Any) -> bool:
    return isinstance(said, Refusal)


def is_data(said: Any) -> bool:
    return isinstance(said, Refusal) or is_json(said)
