"""Stability AI: https://platform.stability.ai/docs/api-reference#tag/Generate (read 2026-11-28)."""

from __future__ import annotations

import base64
import binascii

from meshd.sdk.calls.failure import FailureKind
from meshd.services.forms import form
from meshd.services.images.query import Images, made, read
from meshd.services.seam import Ask, Asked, Begun, Malformed, Service, Steps, Told, failed, text

_RATIOS = ("1:1", "16:9", "9:16", "3:2", "2:3", "5:4", "4:5", "21:9", "9:21")
_FORMATS = ("png", "jpeg", "webp")
_PATHS = {"stable-image-core": "core", "stable-image-ultra": "ultra"}
"""All other models are made by one path, which takes the model's name."""


def generation(asked: Asked) -> Steps:
    images = read(asked, _FORMATS)
    path = _PATHS.get(asked.model, "sd3")
    content_type, body = form(_fields(images, asked.model, path))
    ask = Ask("POST", f"v2beta/stable-image/generate/{path}", body=body, content_type=content_type)
    found: list[tuple[str, bytes]] = []
    while True:
        told = yield ask
        found.append(("", _image(told)))
        if len(found) == images.n:
            return made(images, found, told)
        yield Begun()  # what is there has been paid for


def _fields(images: Images, model: str, path: str) -> dict[str, str]:
    fields = {"prompt": images.prompt, "output_format": images.output_format or "png"}
    if path == "sd3":
        fields["model"] = model
    if (ratio := images.ratio(_RATIOS)) is not None:
        fields["aspect_ratio"] = ratio
    if images.negative_prompt is not None:
        fields["negative_prompt"] = images.negative_prompt
    if images.seed is not None and images.n == 1:
        fields["seed"] = str(images.seed)
    return fields


def _image(told: Told) -> bytes:
    answer = told.object()
    if answer.get("finish_reason") == "CONTENT_FILTERED":
        raise failed("the image was withheld by the provider's content filter", FailureKind.UNSUPPORTED)
    try:
        content = base64.b64decode(text(answer.get("image")), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise Malformed("without an image")
    return content


STABILITY = Service({"images.generations": generation})
