"""What a wire format has to implement: the provider's side, the app's side, and a translator to neutral records.

An app and a provider of one format exchange bytes: its `ProviderSide` replaces top-level values of the request and
reads answers and events without changing them, and its `Translator` is not asked. Between two formats, the app's
translator reads the request and writes the answer, and the provider's does the opposite.

HTTP errors are read alike for all formats (`formats/errors`), as is the framing of event streams (`formats/sse.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from meshd.core.needs import Named, RequestNeeds
from meshd.formats.body import Body
from meshd.formats.keeping import Assembling, Fields, Keeping
from meshd.sdk.provider import (
    ModelListing,
    OperationSpec,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    RateLimits,
    StreamEvent,
    Usage,
)
from modelmesh.errors import MeshError

if TYPE_CHECKING:
    from meshd.formats.conversation.answer import Answer
    from meshd.formats.conversation.events import Event
    from meshd.formats.conversation.request import Conversation

EVENT_STREAM = "text/event-stream; charset=utf-8"

Count = Callable[[str], int]
"""The tokens of a text, without special tokens."""


class Asked(NamedTuple):
    """A request's body, read. model: as the app wrote it. fields: the top level, each value still raw JSON; sent: the
    same as it is sent on, where strings may hold halves of surrogate pairs."""

    model: str
    needs: RequestNeeds
    fields: Mapping[str, msgspec.Raw]
    sent: Mapping[str, msgspec.Raw]


class PassedOn(NamedTuple):
    """What is forwarded besides a request's body, to a provider that speaks its format. Names in lower case."""

    headers: Mapping[str, str] = MappingProxyType({})
    query: Mapping[str, str] = MappingProxyType({})


class Address(NamedTuple):
    """The address of a request, for messages: the host and the whole URL, both without secrets."""

    host: str
    url: str


class Reading(NamedTuple):
    """A unary answer. body: as the app gets it, byte for byte if it can be read. size: characters of its content,
    including reasoning and tool calls; None if not counted."""

    body: bytes
    usage: Usage | None
    size: int | None = None
    content_type: str = "application/json"


class Opened(NamedTuple):
    """A stream whose answer has begun. started: when the request was sent, by `host/clock.py`. failed: converts the
    transport's error to a failure."""

    started: float
    content_type: str
    limits: RateLimits | None
    failed: Callable[[BaseException], ProviderFailure]


class StreamReader(Protocol):
    """A provider's stream: `more` until `done`, then `close`.

    plain: the body, if the provider sent a unary answer instead.
    """

    done: bool
    plain: bytes | None

    async def more(self) -> list[StreamEvent]:
        """The next events, unchanged as far as an app can read them. Raises ProviderFailure."""

    def close(self) -> None: ...


class ProviderSide(Protocol):
    """How requests to a provider are written in this format, with its quirks from the catalogue."""

    models_path: str
    by_model: bool
    """Whether the path depends on the model, or on whether the answer is streamed."""
    events_type: str
    """The media type of a stream, as a request accepts it."""

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        """Relative to the base URL; None if the format has no such operation. model: "" if it is not `by_model`."""

    def headers(self, key: str) -> Mapping[str, str]:
        """The headers with the key, if there is one, and those that the format requires (`anthropic-version`)."""

    def write(self, call: ProviderCall) -> bytes:
        """The request's body: the app's, with this model, and with a request for the rest of an answer if the call says
        so. Raises ProviderFailure if the format cannot ask for that."""

    def read(self, body: bytes, call: ProviderCall, address: Address) -> Reading:
        """Read a unary answer. Raises ProviderFailure if it is an error, or not an answer at all."""

    def stream(self, body: Body, call: ProviderCall, address: Address, opened: Opened) -> StreamReader: ...

    def assembling(self) -> Assembling: ...

    def read_models(self, body: bytes) -> list[ModelListing]:
        """The models on one page of its list. Raises ValueError."""

    def more_models(self, body: bytes) -> Mapping[str, str]:
        """The query parameters that ask for the page after this one; none after the last."""

    def read_model(self, body: bytes) -> ModelListing | None:
        """The description of one model, None if it has no id. Raises ValueError."""


class Seam(Protocol):
    """Joins the stream of another attempt to an app's stream, so that it looks like the rest of the first one,
    including the places of citations, which count from the beginning of that attempt's text."""

    def hold(self, event: StreamEvent) -> bool:
        """The text of an event is held back; its citations go with a later event. False if it has none."""

    def starts_at(self, place: int) -> None:
        """The attempt's text begins at this character of the app's; called before any of it is sent."""

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        """The event with this text instead of its own, and this usage for the whole stream; None if it contains nothing
        new."""

    def text(self, text: str) -> bytes:
        """An event with only this text."""

    def before(self) -> list[bytes]:
        """What has to be sent before the event that was made last: the end of a part, and the beginning of the next,
        in formats that mark them (Anthropic, Responses)."""


class Framing(Protocol):
    """How a format puts answers on the wire over HTTP.

    name: the format's. media_type: of a stream. last: what follows the last event of a stream. ping: what keeps a
    silent stream open.
    """

    name: str
    media_type: str
    last: bytes
    ping: bytes

    def error(self, error: MeshError) -> bytes:
        """The body of an error."""

    def event(self, data: bytes) -> bytes:
        """A chunk as it is sent."""

    def remark(self, lines: Iterable[str]) -> bytes:
        """What apps skip in a stream; empty if the format has nothing of that kind."""

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        """The headers that answers of this API have: the request's id, and what is left of the app's limits. now: UTC
        s."""

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        """The chunks that report an error inside a stream. first, last: the first and last chunks that the app has
        got, for formats that number them."""


class AppSide(Framing, Protocol):
    """Reads an app's requests in this format, and writes answers, apart from those that a provider of the same format
    sent.

    immaterial: parameters that say who asks, or what the provider keeps, and do not change the answer.
    """

    immaterial: frozenset[str]

    @property
    def keeping(self) -> Keeping | None:
        """For a format whose apps retrieve answers, or continue them, by their ids."""

    def counted(self, tokens: int) -> bytes:
        """The answer to an app that asks how many tokens a request has, if its API has that question
        (`known.Known.counts`)."""

    def read(self, operation: OperationSpec, body: bytes, *, budgeted: bool = True) -> Asked:
        """Everything that decisions depend on, read once. budgeted: False: no budget applies, so messages are not
        searched for what may raise the price. Raises InvalidRequestError."""

    def passed_on(self, headers: Mapping[str, str], query: str) -> PassedOn: ...

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        """text: the fields that hold the app's text."""

    def repeatable(self, fields: Mapping[str, msgspec.Raw]) -> bool:
        """Whether the parameters make the answer repeatable."""

    def session(self, fields: Mapping[str, msgspec.Raw]) -> str:
        """The conversation that the body names; "" if it names none."""

    def user(self, fields: Mapping[str, msgspec.Raw]) -> str:
        """The user that the body names; "" if it names none."""

    def priced(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        """The body without what cannot be priced."""

    def count(self, operation: OperationSpec, fields: Mapping[str, msgspec.Raw], tokens: Count) -> int:
        """An upper bound for the tokens of the text; `RequestNeeds` has the rest."""

    def with_parameters(
        self, fields: Mapping[str, msgspec.Raw], defaults: Mapping[str, object], overrides: Mapping[str, object]
    ) -> Mapping[str, msgspec.Raw]:
        """The body with a model's `defaults` filled in and its `overrides` applied."""

    def with_output_limit(self, fields: Mapping[str, msgspec.Raw], limit: int, name: str) -> Mapping[str, msgspec.Raw]:
        """The body with that output limit: under the name it already has, else `name`."""

    def without_reasoning(self, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        """The body without the reasoning of earlier turns, and without what requires it; the same object if there is
        none."""

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> Seam:
        """first: the event of the stream that has its id. last: the one that the app got last, for formats that number
        the parts of an answer. text: what the app has of the message, for formats that repeat all of it."""

    def answer_text(self, body: bytes) -> str:
        """The text of a unary answer, including reasoning and tool calls, for counting if its provider reported no
        tokens; the whole body if there is no such text."""

    def usage(self, usage: Usage) -> dict[str, Any]:
        """A usage report under the format's names."""


class RecordReader(Protocol):
    """Reads one stream, in order."""

    def read(self, data: bytes) -> list[Event]:
        """The events in the payload of one server-sent event. Raises Unreadable."""


class RecordWriter(Protocol):
    """Writes one stream."""

    def write(self, event: Event) -> list[bytes]:
        """The payloads for an event: none, or several if the format opens and closes its parts (Anthropic,
        Responses)."""

    def end(self) -> list[bytes]:
        """The payloads that remain to be sent when the stream has ended."""


class ProviderTranslator(Protocol):
    """Between neutral records and this format, for a provider that speaks it."""

    def write_request(self, conversation: Conversation) -> bytes:
        """Raises InvalidRequestError for anything that this format cannot express."""

    def read_answer(self, body: bytes) -> Answer:
        """Raises Unreadable."""

    def event_reader(self) -> RecordReader: ...


class Translator(ProviderTranslator, Protocol):
    """The same for apps that speak it too."""

    def read_request(self, body: bytes) -> Conversation:
        """Raises InvalidRequestError, which names the field."""

    def write_answer(self, answer: Answer, asked: Conversation | None = None) -> bytes:
        """asked: the request, as it decides between spellings."""

    def event_writer(self, asked: Conversation | None = None, input_tokens: int = 0) -> RecordWriter:
        """input_tokens: those of the request, as the mesh counts them, for formats that report them first
        (Anthropic)."""


class OperationTranslator(Protocol):
    """Between this format and OpenAI's form of one operation that is not a conversation, such as embeddings. OpenAI's
    form is the neutral one."""

    def write_request(self, asked: Fields, model: str) -> Fields:
        """asked: in OpenAI's form. model: the provider's name for it. Raises InvalidRequestError for anything that this
        format cannot express."""

    def read_answer(self, body: bytes, asked: Fields, model: str) -> bytes:
        """The answer in OpenAI's form. Raises Unreadable."""


class AppOperationTranslator(Protocol):
    """The same for apps that ask in this format."""

    def read_request(self, fields: Fields) -> Fields:
        """The request in OpenAI's form. Raises InvalidRequestError, which names the field."""

    def write_answer(self, body: bytes, asked: Fields) -> bytes:
        """body: in OpenAI's form. asked: the app's request, as it came."""


class ProviderFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A wire format that providers speak. provider: makes the side of one configured provider; raises ValueError for an
    unknown quirk. translator: makes the translator. late_instructions: instructions may come between the other turns,
    whatever the server. needs_limit: every request must have an output limit. operations: make the translators of
    operations other than conversations, by their names; used only for those that have a path in this format. at_once:
    how many inputs a call takes, by operation: a number, or numbers by patterns of model names, of which the first
    match counts."""

    name: str
    provider: Callable[[ProviderSettings], ProviderSide]
    translator: Callable[[], ProviderTranslator]
    late_instructions: bool = True
    needs_limit: bool = False
    operations: Mapping[str, Callable[[], OperationTranslator]] = {}
    at_once: Mapping[str, int | Mapping[str, int]] = {}


class Format(ProviderFormat, frozen=True, kw_only=True):
    """A wire format that apps speak too."""

    app: AppSide
    translator: Callable[[], Translator]
    app_operations: Mapping[str, Callable[[], AppOperationTranslator]] = {}
