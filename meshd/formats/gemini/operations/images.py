"""Images: OpenAI's forms of making and editing them, as `generateContent` of a Gemini model or `predict` of an Imagen
model.

Owns: what each field becomes, and what an answer has. Loaded when two formats meet.

https://ai.google.dev/gemini-api/docs/image-generation,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api, 2026-11-28
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from meshd.formats.conversation.reading import Unreadable, answer_of
from meshd.formats.gemini.conversation.content import refused
from meshd.formats.gemini.operations.made_images import images_in, is_imagen
from meshd.formats.gemini.usage import usage_in
from meshd.formats.openai.conversation.content import source_of
from meshd.sdk.reading import lenient

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
OF_IMAGEN = ("1:1", "3:4", "4:3", "9:16", "16:9")
_MOST = 4  # images of one call to Imagen
_NEAR = 0.04  # by which the sides' ratio may differ from a known one
_SIZES = ((1536, ""), (3072, "2K"), (1 << 30, "4K"))
"""Sizes by the longest side that they cover; "": the usual size, which some models do not take by name."""
_KNOWN = frozenset({"prompt", "n", "size", "aspect_ratio", "response_format", "model", "image", "images"})
_LEFT_OUT = frozenset(
    {"user", "quality", "style", "moderation", "output_compression", "partial_images", "input_fidelity", "stream"}
)
Fields = Mapping[str, msgspec.Raw]


class GeminiImages:
    """See `formats/protocol.py:OperationTranslator`."""

    def write_request(self, asked: Fields, model: str) -> Fields:
        given = {name: value for name, raw in asked.items() if (value := _value(raw)) is not None}
        _check(given)
        shown = [_inline(each) for name in ("image", "images") for each in _listed(given.get(name))]
        count = given.get("n", 1)
        return _to_imagen(given, count, shown) if is_imagen(model) else _to_gemini(given, count, shown)

    def read_answer(self, body: bytes, asked: Fields, model: str) -> bytes:
        document = answer_of(body)
        found = images_in(document)
        if not found:
            raise Unreadable("it has no image")
        as_url = _value(asked.get("response_format", msgspec.Raw(b"null"))) == "url"
        data = [{"url": f"data:{kind};base64,{data}"} if as_url else {"b64_json": data} for kind, data in found]
        made: dict[str, Any] = {"created": int(time.time()), "data": data}
        if (usage := usage_in(document.get("usageMetadata"))) is not None:
            made["usage"] = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "total_tokens": usage.input_tokens + usage.output_tokens,
            }
        return lenient.encode(made)


def _check(given: Mapping[str, Any]) -> None:
    """Raises InvalidRequestError for what this API cannot do."""
    for name, value in given.items():
        if name in _KNOWN or name in _LEFT_OUT or (name, value) in (("background", "auto"), ("background", "opaque")):
            continue
        if name == "output_format" and value == "png":
            continue
        raise refused(f"`{name}` for images" if name != "mask" else "a mask", name)
    if not isinstance(given.get("prompt"), str) or not given["prompt"]:
        raise refused("an empty prompt", "prompt")


def _to_gemini(given: Mapping[str, Any], count: Any, shown: list[Any]) -> Fields:
    if count != 1:
        raise refused("more than one image at once", "n")
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    ratio, size = _shape(given, RATIOS)
    image = {name: value for name, value in (("aspectRatio", ratio), ("imageSize", size)) if value}
    config |= {"imageConfig": image} if image else {}
    parts = [*shown, {"text": given["prompt"]}]
    return _fields({"contents": [{"role": "user", "parts": parts}], "generationConfig": config})


def _to_imagen(given: Mapping[str, Any], count: Any, shown: list[Any]) -> Fields:
    if shown:
        raise refused("an image to edit, with this model", "image")
    if type(count) is not int or not 1 <= count <= _MOST:
        raise refused(f"`n` other than 1 to {_MOST}", "n")
    ratio, size = _shape(given, OF_IMAGEN)
    more = {name: value for name, value in (("aspectRatio", ratio), ("sampleImageSize", size)) if value}
    return _fields({"instances": [{"prompt": given["prompt"]}], "parameters": {"sampleCount": count, **more}})


def _shape(given: Mapping[str, Any], known: Collection[str]) -> tuple[str, str]:
    """The ratio of the sides, and the size; "" if the app left it open."""
    ratio, size = given.get("aspect_ratio"), given.get("size", "auto")
    if ratio is not None and ratio not in known:
        raise refused(f"`aspect_ratio` other than {', '.join(known)}", "aspect_ratio")
    if size == "auto":
        return ratio or "", ""
    width, _, height = size.partition("x") if isinstance(size, str) and len(size) < 12 else ("", "", "")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise refused("a `size` that is not like 1024x1024", "size")
    name = next(name for most, name in _SIZES if max(int(width), int(height)) <= most)
    if ratio is not None:
        return ratio, name
    wanted = int(width) / int(height)
    best = min(known, key=lambda each: abs(_relation(each) / wanted - 1))
    if abs(_relation(best) / wanted - 1) > _NEAR:
        raise refused(f"a `size` whose sides are not like {', '.join(known)}", "size")
    return best, name


def _relation(name: str) -> float:
    width, _, height = name.partition(":")
    return int(width) / int(height)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _inline(image: Any) -> dict[str, Any]:
    """A file of a form, with its `data`; or OpenAI's `{"image_url": …}` of a data URL. Raises InvalidRequestError."""
    said = image if isinstance(image, dict) else {}
    kind, data = said.get("content_type"), said.get("data")
    if isinstance(url := said.get("image_url"), str):
        source = source_of(url)
        kind, data = source.media_type, source.data
    if not isinstance(kind, str) or not kind.startswith("image/") or not isinstance(data, str) or not data:
        raise refused("an image that is neither a file nor a data URL", "image")
    return {"inlineData": {"mimeType": kind, "data": data}}


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(lenient.whole(bytes(raw)))
    except lenient.UNREADABLE:
        return None


def _fields(values: Mapping[str, Any]) -> Fields:
    return {name: msgspec.Raw(lenient.encode(value)) for name, value in values.items()}
