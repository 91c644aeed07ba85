"""Reads the many shapes of `GET models`, and derives facts from a model's id.

Owns: guesses from names and from the extra fields that some servers give.
Must never: drop a model because its entry has an unknown field; configuration overrides every guess.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from meshd.core.listed_models import MOST_MODELS, count, day, is_id
from meshd.formats.errors.not_answers import Broken
from meshd.sdk.provider import ModelListing
from meshd.sdk.reading import lenient

# In this order: the first that matches decides.
_CAPABILITY_BY_NAME: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.I), capabilities)
    for pattern, capabilities in (
        (r"rerank", ("reranking",)),
        (r"embed|(^|[/\-_])(bge|e5|gte|minilm|nomic|uae|m2-bert)([\-_/.]|$)", ("text-embeddings",)),
        (r"whisper|transcri|speech-to-text|voxtral", ("speech-to-text",)),
        (r"(^|[/\-_])tts([\-_/.]|$)|text-to-speech|playai-tts|orpheus", ("text-to-speech",)),
        (r"dall-e|gpt-image|stable-diffusion|(^|[/\-_])(flux|sdxl|imagen)([\-_/.]|$)|image-gen", ("text-to-image",)),
        (r"moderation|llama-guard|prompt-guard|shieldgemma", ("content-moderation",)),
        (r"realtime|(^|[/\-_])(sora|veo)([\-_/.]|$)", ()),
        (r"davinci-002|babbage-002|gpt-3\.5-turbo-instruct", ("text-completion",)),
        (r"code|coder|codestral|starcoder", ("chat-completion", "code-generation")),
        (r"", ("chat-completion",)),
    )
)
# Names of model kinds in the field `type` or `task` (Together, LM Studio, Cloudflare).
_CAPABILITY_BY_TYPE = {
    "chat": ("chat-completion",),
    "llm": ("chat-completion",),
    "vlm": ("chat-completion",),
    "language": ("text-completion",),
    "code": ("chat-completion", "code-generation"),
    "image": ("text-to-image",),
    "embedding": ("text-embeddings",),
    "embeddings": ("text-embeddings",),
    "rerank": ("reranking",),
    "moderation": ("content-moderation",),
    "audio": ("text-to-speech",),
    "transcribe": ("speech-to-text",),
    "video": (),
}


def guess_capabilities(model: str) -> tuple[str, ...]:
    return next(found for pattern, found in _CAPABILITY_BY_NAME if pattern.search(model))


def read_model(body: bytes) -> ModelListing | None:
    """One model, bare or as {"data": {…}}; None if it has no id. Raises Broken."""
    document = _decoded(body)
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        document = document["data"]
    return _listing(document)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except lenient.UNREADABLE:
        pass
    try:
        return msgspec.json.decode(lenient.plain(lenient.decode_odd(body)))
    except (lenient.NotJSON, msgspec.DecodeError, RecursionError) as exc:
        raise Broken(str(exc)) from None


def read_listing(body: bytes) -> list[ModelListing]:
    """{"data": […]}, Ollama's {"models": […]}, or a bare list. Raises Broken."""
    document = _decoded(body)
    if isinstance(document, dict):
        keys = [key for key in ("data", "models", "result") if key in document]
        if not keys:
            raise Broken("neither `data` nor `models`")
        document = next((document[key] for key in keys if isinstance(document[key], list)), document[keys[0]])
    if not isinstance(document, list | type(None)):
        raise Broken("no list of models")
    listed: dict[str, ModelListing] = {}
    for entry in (document or ())[:MOST_MODELS]:
        try:
            listing = _listing(entry)
        except (TypeError, ValueError, ArithmeticError):  # an invalid entry costs only itself
            continue
        if listing is not None:
            listed.setdefault(listing.id, listing)
    return list(listed.values())


def _listing(entry: Any) -> ModelListing | None:
    if isinstance(entry, str):
        entry = {"id": entry}
    if not isinstance(entry, dict):
        return None
    names = (entry.get(key) for key in ("id", "name", "model"))
    model = next((name for name in names if isinstance(name, str) and name), "")
    if not is_id(model):
        return None
    return ModelListing(
        id=model,
        capabilities=_capabilities(model, entry),
        context_window=_context_window(entry),
        max_output_tokens=count(_dict(entry.get("top_provider")).get("max_completion_tokens"))
        or count(entry.get("max_completion_tokens") or entry.get("max_output_tokens")),
        features=_features(entry),
        deprecated=bool(entry.get("deprecated")) or entry.get("active") is False,
        retires=_retires(entry),
    )


def _retires(entry: dict[str, Any]) -> str:
    """The day in OpenAI's, OpenRouter's and Mistral's form, or Azure's day for inference."""
    ends = entry.get("deprecation")
    if isinstance(ends, dict):
        ends = ends.get("inference")
    return day(entry.get("shutdown_date") or entry.get("expiration_date") or ends)


def _capabilities(model: str, entry: dict[str, Any]) -> tuple[str, ...]:
    kind = entry.get("type")
    if isinstance(kind, str) and kind in _CAPABILITY_BY_TYPE:
        return _CAPABILITY_BY_TYPE[kind]
    said = entry.get("capabilities")
    if isinstance(said, dict) and said.get("completion_chat") is False:  # Mistral's
        guessed = guess_capabilities(model)
        return () if guessed == ("chat-completion",) else guessed
    outputs = _dict(entry.get("architecture")).get("output_modalities")  # OpenRouter's
    if isinstance(outputs, list) and outputs and "text" not in outputs:
        return ("text-embeddings",) if "embeddings" in outputs else ("text-to-image",) if "image" in outputs else ()
    return guess_capabilities(model)


def _features(entry: dict[str, Any]) -> tuple[str, ...]:
    """Only what the provider declares; a guess would send requests to models that refuse them."""
    found: list[str] = []
    said = entry.get("capabilities")
    flags = {key for key, value in said.items() if value} if isinstance(said, dict) else set()
    if isinstance(said, list):
        flags = {str(flag) for flag in said}
    raw_parameters = entry.get("supported_parameters")
    parameters = {str(name) for name in raw_parameters} if isinstance(raw_parameters, list) else set()
    inputs = _dict(entry.get("architecture")).get("input_modalities")
    if (
        flags & {"function_calling", "tools", "tool_use", "tool_calling"}
        or "tools" in parameters
        or entry.get("supports_tools")
    ):
        found.append("tool_calling")
    if flags & {"vision"} or (isinstance(inputs, list) and "image" in inputs) or entry.get("supports_image_input"):
        found.append("vision")
    if "structured_outputs" in parameters or flags & {"structured_outputs"}:
        found.append("structured_output")
    if "response_format" in parameters:
        found.append("json_mode")
    if "logprobs" in parameters:
        found.append("logprobs")
    if "reasoning" in parameters or flags & {"reasoning", "thinking"}:
        found.append("reasoning")
    return tuple(found)


def _context_window(entry: dict[str, Any]) -> int | None:
    for key in ("context_length", "max_model_len", "context_window", "max_context_length", "loaded_context_length"):
        found = count(entry.get(key))
        if found:
            return found
    meta = _dict(entry.get("meta"))  # llama-server's
    return count(meta.get("n_ctx")) or count(meta.get("n_ctx_train"))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
