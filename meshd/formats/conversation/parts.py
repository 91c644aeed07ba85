"""The parts of a turn: text, media, reasoning, tool calls and their results.

Every record here and in the modules beside it is immutable and hashable: texts, numbers, tuples and bytes. JSON that
belongs to the app (a schema, unknown fields) is kept as its text (`Json`) and never looked into.
"""

from __future__ import annotations

import msgspec

Json = bytes
"""A JSON value as UTF-8 text."""


class Original(msgspec.Struct, frozen=True):
    """What a record was read from, in the format of that name.

    It is kept if the record alone does not contain all of it: because of fields that the record lacks, or of another
    spelling. Only a writer of the same format uses it, so that nothing is lost, and only while it still agrees with the
    record.
    """

    format: str
    json: Json


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record that can be read from a format."""

    original: Original | None = None


class CacheMark(msgspec.Struct, frozen=True):
    """The prompt up to this place is worth caching (Anthropic's `cache_control`, OpenAI's `prompt_cache_breakpoint`).

    ttl: how long, as the format wrote it ("5m", "1h"); "" for the provider's default.
    """

    ttl: str = ""


class Source(msgspec.Struct, frozen=True):
    """Where media comes from: one of data (base64), url, or id (of a file that the provider stores).

    media_type: "image/png"; "" if the format does not say (OpenAI's URLs, Anthropic's).
    """

    data: str = ""
    url: str = ""
    id: str = ""
    media_type: str = ""
    name: str = ""


class Text(Record, frozen=True):
    """signature: Gemini's `thoughtSignature`, which may be on any part and has to come back with it."""

    text: str
    cache: CacheMark | None = None
    signature: str = ""


class Image(Record, frozen=True):
    """detail: OpenAI's "low", "high" or "auto"; "" if not said."""

    source: Source
    detail: str = ""
    cache: CacheMark | None = None


class Audio(Record, frozen=True):
    """Speech in a prompt or an answer. That of an earlier answer is referenced only by its source's id (OpenAI).

    transcript: that of an answer's speech. expires: seconds since 1970, when the provider forgets the id.
    """

    source: Source
    transcript: str = ""
    expires: int | None = None
    cache: CacheMark | None = None


class File(Record, frozen=True):
    """A document: OpenAI's `file`, Anthropic's `document`, Gemini's `fileData` of any type but images and audio."""

    source: Source
    cache: CacheMark | None = None


class Refusal(Record, frozen=True):
    """The model's explanation of why it does not answer (OpenAI's `refusal`)."""

    text: str


class Reasoning(Record, frozen=True):
    """What the model thought before it answered.

    text: as shown, often a summary; "" if only the provider can read it. signature: proves to the provider that the
    text is its own (Anthropic's `thinking` blocks, Gemini's thought parts). encrypted: text that only the provider can
    read (Anthropic's `redacted_thinking`, the `encrypted_content` of a Responses item). id: of a Responses item. All of
    them have to come back unchanged while a tool call is answered, and mean nothing to another provider.
    """

    text: str = ""
    signature: str = ""
    encrypted: str = ""
    id: str = ""


class ToolCall(Record, frozen=True):
    """id: "" in formats without one (Gemini's older models, OpenAI's deprecated `function_call`): results follow in
    order, by name. arguments: JSON as the model wrote it, valid or not; for a custom tool, any text. signature:
    Gemini's `thoughtSignature`.
    """

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    signature: str = ""
    cache: CacheMark | None = None


class ToolResult(Record, frozen=True):
    """call: the id of the call that it answers, "" if the format has none. name: of the tool, if the format says it.
    failed: Anthropic's `is_error`."""

    call: str
    parts: tuple[Part, ...] = ()
    name: str = ""
    failed: bool = False
    cache: CacheMark | None = None


class Other(Record, frozen=True):
    """Something that only its own format has, such as a hosted tool or a search result; the original contains it. A
    writer of another format refuses it or leaves it out (`portable.py`).

    kind: in its format's words. spare: the conversation means the same without it.
    """

    kind: str = ""
    spare: bool = False


Part = Text | Image | Audio | File | Refusal | Reasoning | ToolCall | ToolResult | Other
