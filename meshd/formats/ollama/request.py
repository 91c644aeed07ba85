"""A request to Ollama's API as one to OpenAI's.

Owns: what each field becomes. Options that only say how Ollama should run a model (`keep_alive`, `options.num_ctx` and
the like) and sampling parameters that OpenAI's API lacks (`options.top_k`, …) are left out. What would change the
answer is refused.
Must never: choose a model, or read what OpenAI's reader checks anyway (`formats/openai/body/needs.py`).

Fields: https://github.com/ollama/ollama/blob/main/api/types.go, read on 2026-11-28.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from meshd.formats.openai.body.lengths import MOST_ITEMS
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError

_CHAT, _COMPLETION, _EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_EFFORTS = ("low", "medium", "high")
_IMAGES = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lG": "image/gif", "UklG": "image/webp"}
"""How images of each type begin in base64, since Ollama's API does not name the type."""


class Kind(enum.Enum):
    """The endpoints whose answers differ."""

    CHAT = "/api/chat"
    GENERATE = "/api/generate"
    EMBED = "/api/embed"
    EMBEDDINGS = "/api/embeddings"  # the older one, of one text


class Translated(NamedTuple):
    """path, body: those of the request to OpenAI's API; "": only a model is to be loaded. thinks: the app wants to see
    reasoning."""

    path: str
    body: bytes
    kind: Kind
    model: str
    stream: bool
    thinks: bool = True


def translated(kind: Kind, body: bytes, known: Callable[[str], bool]) -> Translated:
    """known: whether a name means anything here. Raises InvalidRequestError, which names the field."""
    fields = _object(body)
    model = _text(fields, "model") or _text(fields, "name")
    if not model:
        raise InvalidRequestError("`model` has to name a pool, a capability or a model", param="model")
    model = without_tag(model, known)
    if kind in (Kind.EMBED, Kind.EMBEDDINGS):
        asked = {"input": fields.get("input" if kind is Kind.EMBED else "prompt", "")}
        if fields.get("dimensions") is not None:
            asked["dimensions"] = fields["dimensions"]
        return Translated(_EMBEDDINGS, lenient.encode({"model": model, **asked}), kind, model, stream=False)
    stream = fields.get("stream") is not False
    path, asked = _generation(fields) if kind is Kind.GENERATE else (_CHAT, _chat(fields))
    if not asked:
        return Translated("", b"", kind, model, stream)
    made = {"model": model, **asked, **_parameters(fields)}
    if stream:
        made |= {"stream": True, "stream_options": {"include_usage": True}}
    return Translated(path, lenient.encode(made), kind, model, stream, fields.get("think") is not False)


def without_tag(name: str, known: Callable[[str], bool]) -> str:
    """Ollama's clients add a tag to names that have none."""
    bare = name.removesuffix(":latest")
    return bare if bare != name and not known(name) else name


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = lenient.decode(body)
    except lenient.NotJSON as error:
        raise InvalidRequestError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("the body is not a JSON object", code="invalid_json")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequestError(f"`{name}` has to be text", param=name)
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequestError(f"`{name}` has to be a list", param=name)
    if len(value) > MOST_ITEMS:
        raise InvalidRequestError(f"`{name}` has {len(value)} items; send at most {MOST_ITEMS}", param=name)
    return value


# -- parameters -------------------------------------------------------------------------------------------


def _parameters(fields: Mapping[str, Any]) -> dict[str, Any]:
    options = fields.get("options") or {}
    if not isinstance(options, dict):
        raise InvalidRequestError("`options` has to be a map", param="options")
    made = {ours: options[theirs] for theirs, ours in _OPTIONS.items() if options.get(theirs) is not None}
    limit = options.get("num_predict")
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:  # -1 and -2: as many as there is room for
        made["max_tokens"] = limit
    if fields.get("tools"):
        made["tools"] = fields["tools"]
    if fields.get("think") in _EFFORTS:
        made["reasoning_effort"] = fields["think"]
    wanted = fields.get("format")
    if wanted == "json":
        made["response_format"] = {"type": "json_object"}
    elif isinstance(wanted, dict):
        made["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted}}
    elif wanted not in (None, ""):
        raise InvalidRequestError('`format` has to be "json" or a JSON schema', param="format")
    return made


# -- text -------------------------------------------------------------------------------------------------


def _generation(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(path, fields): a prompt is a chat of one message, unless the model is to continue it as it is."""
    prompt, suffix, system = _text(fields, "prompt"), _text(fields, "suffix"), _text(fields, "system")
    if _text(fields, "template"):
        raise InvalidRequestError("A model's own `template` is used here; leave it out.", param="template")
    images = _list(fields, "images")
    if fields.get("raw") is True or suffix:
        return _COMPLETION, {"prompt": prompt} | ({"suffix": suffix} if suffix else {})
    if not prompt and not images:
        return "", {}
    messages = [{"role": "system", "content": system}] if system else []
    return _CHAT, {"messages": [*messages, {"role": "user", "content": _content(prompt, images)}]}


def _chat(fields: Mapping[str, Any]) -> dict[str, Any]:
    messages = _list(fields, "messages")
    calls = _Calls()
    made = []
    for n, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequestError(f"`messages[{n}]` has to be a map", param=f"messages[{n}]")
        made.append(_message(message, calls))
    return {"messages": made} if made else {}


class _Calls:
    """Gives tool calls the ids that OpenAI's API needs and Ollama's lacks: a result belongs to the first open call of
    its tool."""

    def __init__(self) -> None:
        self._made = 0
        self._open: list[tuple[str, str]] = []  # (id, the tool's name)

    def begun(self, id: str, name: str) -> str:
        self._made += 1
        id = id or f"call_{self._made}"
        self._open.append((id, name))
        return id

    def answered(self, id: str, name: str) -> str:
        open = [each for each in self._open if each[0] == id] or [each for each in self._open if each[1] == name]
        if not (open := open or self._open[:1]):
            return id or "call_0"
        self._open.remove(open[0])
        return open[0][0]


def _message(message: Mapping[str, Any], calls: _Calls) -> dict[str, Any]:
    role, text = _text(message, "role"), _text(message, "content")
    if role == "tool":
        name = _text(message, "tool_name") or _text(message, "name")
        return {"role": role, "tool_call_id": calls.answered(_text(message, "tool_call_id"), name), "content": text}
    made: dict[str, Any] = {"role": role, "content": _content(text, _list(message, "images"))}
    if thinking := _text(message, "thinking"):
        made["reasoning_content"] = thinking
    if tool_calls := [_call(call, calls) for call in _list(message, "tool_calls")]:
        made["tool_calls"] = tool_calls
        made["content"] = made["content"] or None
    return made


def _call(call: Any, calls: _Calls) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise InvalidRequestError("a call in `tool_calls` has to have a `function`", param="messages[].tool_calls")
    name, arguments = _text(function, "name"), function.get("arguments") or {}
    written = arguments if isinstance(arguments, str) else lenient.encode(arguments).decode()
    return {
        "id": calls.begun(_text(call, "id"), name),
        "type": "function",
        "function": {"name": name, "arguments": written},
    }


def _content(text: str, images: list[Any]) -> Any:
    if not images:
        return text
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for image in images:
        if not isinstance(image, str):
            raise InvalidRequestError("`images` has to be a list of images in base64", param="images")
        url = image if image.startswith("data:") else f"data:{_media_type(image)};base64,{image}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _media_type(image: str) -> str:
    return next((kind for begin, kind in _IMAGES.items() if image.startswith(begin)), "image/png")
