"""The images in a provider's answer: of a Gemini model's candidates, or an Imagen model's predictions.

Owns: distinguishing an answer from a blocked one, and from an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.core.prices import IMAGES
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Unanswered
from meshd.formats.gemini.body.values import listed
from meshd.formats.gemini.usage import units_in, usage_in
from meshd.formats.gemini.wire import candidates_of, error_inside, is_blocked, parts_of
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.provider import Usage
from meshd.sdk.reading import lenient


def is_imagen(model: str) -> bool:
    return model.rpartition("/")[2].startswith("imagen")


def images_in(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The type and the data (base64) of each."""
    found = [
        (each.get("mimeType") or "image/png", each.get("bytesBase64Encoded"))
        for each in listed(document.get("predictions"))
        if isinstance(each, dict)
    ]
    for candidate in candidates_of(document):
        inline = [part.get("inlineData") for part in parts_of(candidate) if not part.get("thought")]
        found += [(each.get("mimeType"), each.get("data")) for each in inline if isinstance(each, dict)]
    return [
        (kind, data)
        for kind, data in found
        if isinstance(kind, str) and kind.startswith("image/") and isinstance(data, str) and data
    ]


def read_images(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    document, body = document_of(body)
    if error_answers.is_flagged(document):
        raise error_inside(lenient.plain(document), document)
    found, candidates = images_in(document), candidates_of(document)
    units = units_in(candidates) if candidates else ((IMAGES, len(found)),)
    usage = usage_in(document.get("usageMetadata"), units) or Usage(units=units)
    if found:
        return Reading(body, usage)
    if error_answers.is_error({**document, "usage": None}):
        raise error_inside(lenient.plain(document), document)
    if why := _blocked(document):
        error = {"message": f"the image was blocked: {why}", "code": "content_policy_violation"}
        raise error_inside(lenient.plain({"error": error}), document)
    raise Unanswered("without an image", usage_in(document.get("usageMetadata")))


def _blocked(document: Mapping[str, Any]) -> str:
    """Why there is no image; "" if nothing is said."""
    if is_blocked(document):
        return str(document["promptFeedback"]["blockReason"])[:100]
    reasons = [each.get("finishReason") for each in candidates_of(document)]
    reasons += [each.get("raiFilteredReason") for each in listed(document.get("predictions")) if isinstance(each, dict)]
    known = [reason for reason in reasons if isinstance(reason, str) and reason not in ("", "STOP", "MAX_TOKENS")]
    return known[0][:100] if known else ""
