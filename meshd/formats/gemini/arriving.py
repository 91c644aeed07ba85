"""Turns an app's request at a path of this API into a body that names its model.

Owns: which methods there are. Must never: read more of a request (`body/needs.py` does).
"""

from __future__ import annotations

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole
from modelmesh.errors import InvalidRequestError

GENERATE, STREAM, COUNT = "generateContent", "streamGenerateContent", "countTokens"
EMBED, BATCH = "embedContent", "batchEmbedContents"
METHODS = (GENERATE, STREAM, COUNT, EMBED, BATCH)
_INSIDE = "generateContentRequest"
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def split(rest: str) -> tuple[str, str]:
    """The model and the method in a path below `/v1beta/models/`; a model's name may have a colon in it."""
    model, _, method = rest.rpartition(":")
    return model, method


def with_model(body: bytes, model: str, *, stream: bool = False) -> bytes:
    """The body with both at its end, since the last of several members with the same name counts; nothing else is read.
    Raises InvalidRequestError."""
    text = whole(body).strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        raise InvalidRequestError("the body is not a JSON object", code="invalid_json")
    comma = b"," if text[1:-1].strip() else b""
    return b'%b%b"model":%b,"stream":%b}' % (text[:-1], comma, _encode(model), b"true" if stream else b"false")


def counted_body(body: bytes, model: str) -> bytes:
    """What is to be counted: a request, or only its contents. Raises InvalidRequestError."""
    try:
        fields = _fields(whole(body))
    except UNREADABLE as error:
        raise InvalidRequestError(f"the body is not JSON: {error}", code="invalid_json") from None
    inside = fields.get(_INSIDE, fields.get("generate_content_request"))
    return with_model(body if inside is None else bytes(inside), model)
