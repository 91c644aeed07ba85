"""What a request in OpenAI's format needs from a model, read from its body once.

Must never: change the body; its values stay raw bytes that pass through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN, PREAMBLE, TOKENS_PER_IMAGE, TOOLS_PREAMBLE, RequestNeeds
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.lengths import check_length, parts_of_type
from meshd.formats.openai.records import Message, Parameters, ParametersOfFiles
from meshd.formats.protocol import Asked
from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError

_PARTS: Final = frozenset({
    "image_url", "input_image", "image", "input_audio", "audio_url", "input_file", "file", "document", "document_url",
    "video_url", "input_video",
})  # fmt: skip
_IMAGES: Final = frozenset({"image_url", "input_image", "image"})
_DATA_URL = re.compile(r"\s*data:([a-z]*+)[^,]{0,200};\s*base64\s*,", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9+/=_\-\s]{64,}")
_BARE_KEYS: Final = {"data": "audio", "file_data": "file"}
_AUDIO_BYTES: Final = 32
"""Bytes of base64 per token: 41 for speech at 8 kbit/s with 32 tokens a second (Gemini's number; OpenAI's is 10)."""
ELSEWHERE: Final = 1_000_000
"""Tokens of a file or video that is only named (`file_id`, a URL): unknown, and no context window takes more."""


MOST_FIELDS: Final = 1_000
_LONGEST_KIND: Final = 64  # characters of a size or a quality
_NO_KIND: Final = "?"

_ABSENT: Final = msgspec.Raw(b"null")
_NO_TEXT: Final = msgspec.Raw(b"")
_BEGINNINGS: Final = (b'"', b"[", b"{")  # of a text

_NONE: Final = Parameters()
_STREAMED: Final = ("events", "binary")
_parameters = msgspec.json.Decoder(Parameters)
_of_files = msgspec.json.Decoder(ParametersOfFiles)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_messages = msgspec.json.Decoder(list[Message])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_EMPTY: Final = (b"null", b"[]", b"{}", b"")


class TopLevel(NamedTuple):
    """The part that every format reads first. fields, sent: as in `Asked`. length: bytes, in UTF-8."""

    fields: Mapping[str, msgspec.Raw]
    sent: Mapping[str, msgspec.Raw]
    model: str
    parameters: Any
    length: int


def read(operation: OperationSpec, body: bytes, *, budgeted: bool = True) -> Asked:
    """Raises InvalidRequestError."""
    lists = (*operation.text[: operation.conversation], "tools", "functions")
    read_parameters = _read_parameters if operation.output else _read_parameters_of_files
    fields, sent, model, parameters, length = read_top_level(body, lists, read_parameters, operation.default)
    needs = load_body_fields().judged(_needs(operation, fields, parameters, length), fields, budgeted=budgeted)
    return Asked(model, needs, fields, sent)


def read_top_level(
    body: bytes,
    lists: Iterable[str],
    read_parameters: Callable[[Mapping[str, msgspec.Raw]], Any],
    default: str = "",
) -> TopLevel:
    """lists: the fields whose entries are counted. read_parameters: raises msgspec's errors. default: the model of a
    body that names none. Raises InvalidRequestError."""
    if not body:
        raise InvalidRequestError("the body is empty; send a JSON object", code="invalid_json")
    whole = lenient.whole(body)
    try:
        fields = _object.decode(whole)
        _check_counts(fields, lists)
        parameters = read_parameters(fields)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"the request cannot be read: {error}") from None
    except lenient.UNREADABLE as not_read:
        raise not_json(not_read) from None
    try:
        model = _string.decode(fields["model"]) if "model" in fields else default
    except lenient.UNREADABLE:
        model = ""
    if not model:
        raise InvalidRequestError("`model` has to name a pool, a capability or a model", param="model")
    return TopLevel(fields, fields if whole is body else as_sent(body), model, parameters, len(whole))


def _check_counts(fields: Mapping[str, msgspec.Raw], lists: Iterable[str]) -> None:
    """Raises InvalidRequestError: reading very many would take seconds, in which other apps wait."""
    if len(fields) > MOST_FIELDS:
        raise InvalidRequestError(f"the body has {len(fields)} fields; at most {MOST_FIELDS} are read")
    for name in lists:
        if name in fields:
            check_length(name, fields[name])


def _read_parameters(fields: Mapping[str, msgspec.Raw]) -> Parameters:
    given = _members.alone(fields)
    return _parameters.decode(given) if given else _NONE


def _read_parameters_of_files(fields: Mapping[str, msgspec.Raw]) -> Parameters:
    return _of_files.decode(_members.alone(fields) or b"{}")


class Members:
    """The fields that routing reads, of one kind of body."""

    def __init__(self, read: type[msgspec.Struct]) -> None:
        self._names = {name: f'"{name}":'.encode() for name in read.__struct_fields__}

    def alone(self, fields: Mapping[str, msgspec.Raw]) -> bytes:
        """A body with only these fields, so that errors name them; empty if there are none."""
        given = [self._names[name] + bytes(fields[name]) for name in fields if name in self._names]
        return b"{%s}" % b",".join(given) if given else b""


_members = Members(Parameters)


def as_sent(body: bytes) -> dict[str, msgspec.Raw]:
    """The top level of a body with unpaired surrogates, as JavaScript may send them and msgspec refuses."""
    try:
        found = lenient.members(body)
    except lenient.NotJSON as error:
        raise not_json(error) from None
    if any(lenient.well_formed(name) != name for name in found):
        raise InvalidRequestError("the name of a field has half a surrogate pair in it", code="invalid_json")
    return {name: msgspec.Raw(value) for name, value in found.items()}


def not_json(error: Exception) -> InvalidRequestError:
    return InvalidRequestError(f"the body is not JSON: {error}", code="invalid_json")


def contents_of(messages: msgspec.Raw) -> list[bytes]:
    """The contents that are lists of parts. Raises InvalidRequestError: a body that makes servers fail must not count
    against them."""
    try:
        read = _messages.decode(messages)
    except lenient.UNREADABLE:
        raise InvalidRequestError("`messages` has to be a list of messages, each of them a map") from None
    contents = [content for message in read if (content := bytes(message.content)).startswith(b"[")]
    for each in contents:
        check_length("messages[].content", each)
    return contents


def has_any(value: msgspec.Raw) -> bool:
    """Whether a list or map has anything in it."""
    if value is _ABSENT:
        return False
    return len(value) > 64 or bytes(value).translate(None, b" \t\r\n") not in _EMPTY


def _larger(*limits: int | None) -> int | None:
    given = [limit for limit in limits if limit]
    return max(given) if given and min(given) > 0 else None


def _needs(
    operation: OperationSpec, fields: Mapping[str, msgspec.Raw], parameters: Parameters, length: int
) -> RequestNeeds:
    about = fields.get(operation.text[0], _NO_TEXT)
    attached = NOTHING_CARRIED
    if operation.conversation and about:
        contents = contents_of(about)
        if contents:
            attached = carried(contents)
    given = parameters.response_format if operation.output else None
    kind = given.type if given is not None else ""
    tools = has_any(fields.get("tools", _ABSENT)) or has_any(fields.get("functions", _ABSENT))
    choices = max(parameters.n or 1, parameters.best_of or 1, 1)
    if operation.each:
        choices *= _prompts(about)
    size = 0
    for name in operation.text:
        if name in fields:
            size += len(fields[name])
    repeated, longest = _apart(operation, fields) if operation.apart else (0, 0)
    text = max(size + repeated - attached.size, 0) // BYTES_PER_TOKEN
    images = attached.images + sum(_listed(fields[name]) for name in operation.shown if name in fields)
    return RequestNeeds(
        operation=operation,
        stream=operation.answer_to(fields) in _STREAMED if operation.answers else bool(parameters.stream),
        tools=tools,
        structured=kind == "json_schema",
        json_mode=kind == "json_object",
        images=images,
        logprobs=bool(parameters.logprobs),
        tokens=text + attached.tokens + TOKENS_PER_IMAGE * images,
        longest=longest // BYTES_PER_TOKEN,
        # Of two limits the provider may use either; -1 and the like mean no limit.
        max_output=_larger(parameters.max_tokens, parameters.max_completion_tokens),
        choices=choices,
        # A token is at least a byte of text, and JSON adds to it: a message's braces are more bytes than any template's
        # tokens around it.
        most=length + repeated - attached.size + PREAMBLE + (TOOLS_PREAMBLE if tools else 0),
        attached=attached.tokens,
        units=operation.units(fields) if operation.units is not None else {},
        kind={name: _kind(fields[name]) for name in operation.priced_by if name in fields},
    )


def _apart(operation: OperationSpec, fields: Mapping[str, msgspec.Raw]) -> tuple[int, int]:
    """The bytes of text that is read again with each entry but the first, and those of the longest text read at once, 0
    for a single one. A text may be given as tokens."""
    try:
        entries = [bytes(entry) for entry in _items.decode(fields[operation.apart])]
    except (KeyError, *lenient.UNREADABLE):
        return 0, 0
    if not any(entry.startswith(_BEGINNINGS) for entry in entries):  # numbers: the tokens of one text
        return 0, len(entries) * BYTES_PER_TOKEN
    sizes = [(entry.count(b",") + 1) * BYTES_PER_TOKEN if entry[:1] == b"[" else len(entry) for entry in entries]
    again = len(fields.get(operation.again, _NO_TEXT)) if operation.again else 0
    return again * (len(sizes) - 1), max(sizes) + again if len(sizes) > 1 else 0


def _listed(value: msgspec.Raw) -> int:
    """The number of entries of a list; 1 for anything else."""
    try:
        return len(_items.decode(value))
    except lenient.UNREADABLE:
        return int(has_any(value))


def _kind(value: msgspec.Raw) -> str:
    """ "" if the model chooses. Anything but a text names no kind that has a price."""
    try:
        said = _string.decode(value).strip().lower()[:_LONGEST_KIND]
    except lenient.UNREADABLE:
        return "" if value == b"null" else _NO_KIND
    return "" if said == "auto" else said or _NO_KIND


class Carried(NamedTuple):
    """What a chat has besides text. size: its bytes in the body. tokens: an upper bound for all but images."""

    images: int = 0
    size: int = 0
    tokens: int = 0


NOTHING_CARRIED = Carried()


def carried(contents: list[bytes]) -> Carried:
    """Found in the decoded JSON, however it is written: escaped, in any order, with white space."""
    images = parts = size = tokens = inline = 0
    for content in contents:
        for part in parts_of_type(content, _PARTS, "messages[].content"):
            parts += 1
            images += part["type"] in _IMAGES
            for media, length in _inside(part):
                size += length
                if media != "image":
                    inline += 1
                    tokens += length // _AUDIO_BYTES if media == "audio" else length
    elsewhere = max(parts - images - inline, 0)
    return Carried(images, size, tokens + elsewhere * ELSEWHERE)


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
    """The number of prompts; each is completed separately. A list of token numbers is one prompt."""
    if not bytes(prompt).startswith(b"["):
        return 1
    entries = msgspec.json.decode(prompt)
    return max(sum(not isinstance(entry, int) for entry in entries), 1)
