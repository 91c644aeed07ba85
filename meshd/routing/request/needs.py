"""What a request needs of a model, read from its JSON body once.

Owns: reading from an OpenAI-format body what routing decides by.
Must never: change the body; its values stay raw bytes that pass through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from meshd.sdk import lenient
from meshd.sdk.provider import OperationSpec

BYTES_PER_TOKEN = 4
"""Of JSON text, for the estimate that decides whether a prompt fits a context window. English prose has 4 to 5 bytes a
token, and JSON adds to it; if a model turns out too small it refuses, and a larger one is asked."""

TOKENS_PER_IMAGE = 1000
"""An image's bytes are not text: it takes a few hundred to two thousand tokens, depending on its size."""

PREAMBLE = 128
"""Tokens at most that a provider adds to a prompt by itself: a template's own system message."""
TOOLS_PREAMBLE = 640
"""The same where there are tools: Anthropic's instructions for their use are 313 to 530 tokens by model."""

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
"""The names of a request's output limit, the newer one first."""

GOING_ON = 320
"""Bytes at most that are added to the text so far to ask for the rest: its turn, and an instruction."""

_PARTS = frozenset({"image_url", "input_image", "image", "input_audio", "audio_url", "input_file", "file", "document",
                    "document_url", "video_url", "input_video"})  # fmt: skip
_IMAGES = frozenset({"image_url", "input_image", "image"})
_DATA_URL = re.compile(r"\s*data:([a-z]*)[^,]{0,200};\s*base64\s*,", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9+/=_\-\s]{64,}")
_BARE_KEYS = {"data": "audio", "file_data": "file"}
_AUDIO_BYTES = 32
"""Of base64, per token: speech at 8 kbit/s with 32 tokens a second (Gemini's; OpenAI's are 10) is 41."""
_ELSEWHERE = 1_000_000
"""Tokens of a file or video that is only named (`file_id`, a URL): unknown, and no context window takes more."""


class MalformedBody(ValueError):
    """The body is not a JSON object, or a field that routing reads is of the wrong type."""


class UnusableField(MalformedBody):
    """It is JSON, but a field that routing reads has an impossible value."""


class UnusableModelField(MalformedBody):
    """`model` is missing or not a string."""


Caches = Literal["", "short", "lasting"]
"""What is to be written to a provider's cache: nothing, for 5 minutes, for longer."""


class RequestNeeds(msgspec.Struct, frozen=True):
    """tokens: an estimate of the prompt's. most: an upper bound for its text in any vocabulary: one for each byte.
    counts: vocabulary → tokens of the text, where they were counted. attached: tokens at most of inline audio, video
    and files. max_output: what the app asked for at most, None if it did not say. choices: answers to one request.

    costly, unknown: fields that may raise the price by an unknown amount, and fields whose effect is unknown. fixed:
    the same for parts that cannot be left out; files: there are some, which some providers charge for by the page.
    predicted: tokens at most of a predicted output, which are billed if the answer differs. caches: something is to be
    written to a provider's cache (`routing/request/body_fields.py`, `routing/request/inside_body.py`). units: what is
    used at most beside tokens (`meshd/core/prices.py`).

    `most` and `counts` are of text alone; images depend on the model (`estimate.upper_bound`).
    """

    operation: OperationSpec
    stream: bool = False
    tools: bool = False
    structured: bool = False  # a JSON schema
    json_mode: bool = False
    images: int = 0
    logprobs: bool = False
    tokens: int = 0
    max_output: int | None = None
    choices: int = 1
    most: int = 0
    attached: int = 0
    counts: dict[str, int] = {}
    costly: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    files: bool = False
    predicted: int = 0
    caches: Caches = ""
    units: dict[str, int] = {}

    def tokens_at_most(self, vocabulary: str) -> int:
        """For its text: counted with that vocabulary, else `most`."""
        return self.counts.get(vocabulary, self.most)

    def counted(self, counts: Mapping[str, int]) -> RequestNeeds:
        """The same, knowing these counts; the largest becomes the estimate for models of other vocabularies."""
        if not counts:
            return self
        merged = {**self.counts, **counts}
        text = max(merged.values()) + self.attached
        return replace(self, counts=merged, tokens=text + TOKENS_PER_IMAGE * self.images)

    def describe(self) -> dict[str, object]:
        """For `explain`: only what is asked for."""
        asked = {
            "operation": str(self.operation),
            "stream": self.stream,
            "tools": self.tools,
            "structured_output": self.structured,
            "json_mode": self.json_mode,
            "images": self.images,
            "logprobs": self.logprobs,
            "tokens": self.tokens,
            "max_output_tokens": self.max_output,
            "units": self.units,
            "unpriced_fields": list(self.costly + self.unknown + self.fixed),
        }
        return {name: value for name, value in asked.items() if value}


_ABSENT = msgspec.Raw(b"null")


class _ResponseFormat(msgspec.Struct):
    type: str = ""


# No model gives more; and estimates made with them stay finite.
_Tokens = Annotated[int, msgspec.Meta(le=10**8)]
_Choices = Annotated[int, msgspec.Meta(le=10**4)]


class _Message(msgspec.Struct):
    """Any map; if its content is a list, it has parts."""

    content: msgspec.Raw = msgspec.Raw(b"")


class _Fields(msgspec.Struct):
    """The fields that routing reads in every operation."""

    model: msgspec.Raw = msgspec.Raw(b"null")
    stream: bool | None = None
    tools: msgspec.Raw = _ABSENT
    functions: msgspec.Raw = _ABSENT
    response_format: _ResponseFormat | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    logprobs: bool | int | None = None
    n: _Choices | None = None
    best_of: _Choices | None = None


@lru_cache
def _fields(operation: OperationSpec) -> msgspec.json.Decoder[Any]:
    """Reads them, and the operation's text as it is."""
    text = [(name, msgspec.Raw, msgspec.Raw(b"")) for name in operation.text]
    return msgspec.json.Decoder(msgspec.defstruct("Fields", text, bases=(_Fields,), kw_only=True))


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_messages = msgspec.json.Decoder(list[_Message])
_EMPTY = (b"null", b"[]", b"{}", b"")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def split(body: bytes) -> dict[str, msgspec.Raw]:
    """The body's top level, each value still raw JSON. Raises MalformedBody."""
    try:
        return _object.decode(body)
    except _UNREADABLE as error:
        raise MalformedBody(f"the body is not a JSON object: {error}") from None


def split_oddly(body: bytes) -> dict[str, msgspec.Raw]:
    """The same for a body with halves of surrogate pairs, as JavaScript leaves them, which msgspec refuses.
    Raises MalformedBody."""
    try:
        found = lenient.members(body)
    except lenient.NotJSON as error:
        raise MalformedBody(f"the body is not a JSON object: {error}") from None
    if any(lenient.well_formed(name) != name for name in found):
        raise MalformedBody("the name of a field has half a surrogate pair in it")
    return {name: msgspec.Raw(value) for name, value in found.items()}


def read(operation: OperationSpec, body: bytes) -> tuple[str, RequestNeeds]:
    """(the `model` field, what the request needs). Raises MalformedBody, UnusableModelField."""
    try:
        fields = _fields(operation).decode(body)
    except msgspec.ValidationError as error:
        raise UnusableField(f"the request cannot be read: {error}") from None
    except _UNREADABLE as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None
    try:
        model = _string.decode(fields.model)
    except _UNREADABLE:
        model = ""
    if not model:
        raise UnusableModelField("`model` has to name a pool, a capability or a model")
    return model, _needs(operation, fields, body)


def _contents(messages: msgspec.Raw) -> list[bytes]:
    """The contents that are lists of parts. Raises UnusableField: a body that makes servers fail must not count against
    them."""
    try:
        read = _messages.decode(messages)
    except _UNREADABLE:
        raise UnusableField("`messages` has to be a list of messages, each of them a map") from None
    return [content for message in read if (content := bytes(message.content)).startswith(b"[")]


def _given(value: msgspec.Raw) -> bool:
    """Whether a list or map has anything in it."""
    if value is _ABSENT:
        return False
    return len(value) > 64 or bytes(value).translate(None, b" \t\r\n") not in _EMPTY


def _larger(*limits: int | None) -> int | None:
    given = [limit for limit in limits if limit]
    return max(given) if given and min(given) > 0 else None


def _needs(operation: OperationSpec, fields: Any, body: bytes) -> RequestNeeds:
    about: msgspec.Raw = getattr(fields, operation.text[0])
    carried = _NOTHING_CARRIED
    if operation.conversation and about:
        contents = _contents(about)
        if contents:
            carried = _carried(contents)
    kind = fields.response_format.type if fields.response_format else ""
    tools = _given(fields.tools) or _given(fields.functions)
    choices = max(fields.n or 1, fields.best_of or 1, 1)
    if operation.each:
        choices *= _prompts(about)
    size = sum(len(getattr(fields, name)) for name in operation.text)
    text = max(size - carried.size, 0) // BYTES_PER_TOKEN
    return RequestNeeds(
        operation=operation,
        stream=bool(fields.stream),
        tools=tools,
        structured=kind == "json_schema",
        json_mode=kind == "json_object",
        images=carried.images,
        logprobs=bool(fields.logprobs),
        tokens=text + carried.tokens + TOKENS_PER_IMAGE * carried.images,
        # Of two limits the provider may use either; -1 and the like mean no limit.
        max_output=_larger(fields.max_tokens, fields.max_completion_tokens),
        choices=choices,
        # A token is at least a byte of text, and JSON adds to it: a message's braces are more bytes than any template's
        # tokens around it.
        most=len(body) - carried.size + PREAMBLE + (TOOLS_PREAMBLE if tools else 0),
        attached=carried.tokens,
        units=operation.units(split(body)) if operation.units is not None else {},
    )


class _Carried(NamedTuple):
    """What a chat has besides text. size: its bytes in the body. tokens: at most, of all but images."""

    images: int = 0
    size: int = 0
    tokens: int = 0


_NOTHING_CARRIED = _Carried()


def _carried(contents: list[bytes]) -> _Carried:
    """Found in what the JSON says, however it is written: escaped, in any order, with white space."""
    images = parts = size = tokens = inline = 0
    for content in contents:
        try:
            listed = msgspec.json.decode(content)
        except _UNREADABLE:
            continue
        for part in listed:
            kind = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str) or kind not in _PARTS:
                continue
            parts += 1
            images += kind in _IMAGES
            for media, length in _inside(part):
                size += length
                if media != "image":
                    inline += 1
                    tokens += length // _AUDIO_BYTES if media == "audio" else length
    elsewhere = max(parts - images - inline, 0)
    return _Carried(images, size, tokens + elsewhere * _ELSEWHERE)


def _inside(value: object, key: str = "", media: object = None) -> Iterator[tuple[str, int]]:
    """(media type, bytes of base64) for each attachment in a part. media: the type given beside it, as by Anthropic and
    Gemini."""
    if isinstance(value, str):
        url = _DATA_URL.match(value)
        if url is not None:
            yield url[1].lower(), len(value) - url.end()
        elif key in _BARE_KEYS and _BARE.fullmatch(value):
            yield media.partition("/")[0].lower() if isinstance(media, str) else _BARE_KEYS[key], len(value)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _inside(each, name, value.get("media_type") or value.get("mime_type"))
    elif isinstance(value, list):
        for each in value:
            yield from _inside(each, key)


def _prompts(prompt: msgspec.Raw) -> int:
    """How many prompts: each is completed separately. A list of token numbers is one."""
    if not bytes(prompt).startswith(b"["):
        return 1
    entries = msgspec.json.decode(prompt)
    return max(sum(not isinstance(entry, int) for entry in entries), 1)


def with_parameters(
    fields: Mapping[str, msgspec.Raw], defaults: Mapping[str, object], overrides: Mapping[str, object]
) -> Mapping[str, msgspec.Raw]:
    """The body with a model's `defaults` filled in and its `overrides` applied; the same object if there are none."""
    if not defaults and not overrides:
        return fields
    merged = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in defaults.items()}
    merged.update(fields)
    merged.update((name, msgspec.Raw(msgspec.json.encode(value))) for name, value in overrides.items())
    return merged


def _has(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) != b"null"


def of_the_rest(needs: RequestNeeds, text: str, output_tokens: int) -> RequestNeeds:
    """What continuing an answer needs after `text`: that is part of the prompt now, and the output limit is reduced by
    it. output_tokens: what the last attempt was settled with."""
    added = len(text.encode(errors="replace")) + GOING_ON
    left = None if needs.max_output is None else max(needs.max_output - output_tokens, 1)
    return replace(
        needs,
        tokens=needs.tokens + added // BYTES_PER_TOKEN,
        most=needs.most + added,
        counts={vocabulary: tokens + added for vocabulary, tokens in needs.counts.items()},
        max_output=left,
    )


def with_output_limit(
    fields: Mapping[str, msgspec.Raw], limit: int, name: str = "max_tokens"
) -> Mapping[str, msgspec.Raw]:
    """The body with that output limit, so that the reservation holds: under the name it already has, else `name` ("" if
    the model takes none)."""
    name = next((given for given in OUTPUT_LIMITS if _has(fields, given)), name)
    if not name:
        return fields
    limited = {**fields, name: msgspec.Raw(b"%d" % limit)}
    for other in OUTPUT_LIMITS:
        if other != name:
            limited.pop(other, None)  # of two limits a provider may use either
    return limited
