"""The kinds of objects that the client returns, each with its known fields, which are None if the JSON lacks them.

Names and fields are the OpenAI SDK's (3.57).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Annotated, Any, Generic, Self, TypeVar

from modelmesh._objects.object import Object as Object


class MeshDetails(Object):
    """What the mesh did: pool, real model, provider, attempts (model, provider, status, reason, duration).

    Times are in seconds, cost in USD, None if the daemon sent none. Also readable as a mapping. cached: no provider was
    asked, and it cost nothing: the answer was stored `age` seconds ago, or is that of an identical request in flight
    (coalesced).
    """

    pool: str | None
    model: str | None
    provider: str | None
    attempts: list[Any] | None
    queue_time: float | None
    routing_time: float | None
    first_token_time: float | None
    cost: float | None
    cached: bool | None
    age: float | None
    coalesced: bool | None

    def __getitem__(self, name: str) -> Any:
        return self._json[name]

    def __contains__(self, name: object) -> bool:
        return name in self._json

    def get(self, name: str, default: Any = None) -> Any:
        return self._json.get(name, default)

    def keys(self) -> Any:
        return self._json.keys()


class PromptTokensDetails(Object):
    audio_tokens: int | None
    cache_write_tokens: int | None
    cached_tokens: int | None
    image_tokens: int | None
    text_tokens: int | None


class CompletionTokensDetails(Object):
    accepted_prediction_tokens: int | None
    audio_tokens: int | None
    reasoning_tokens: int | None
    rejected_prediction_tokens: int | None
    text_tokens: int | None


class CompletionUsage(Object):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None
    completion_tokens_details: CompletionTokensDetails | None
    _kinds = {"prompt_tokens_details": PromptTokensDetails, "completion_tokens_details": CompletionTokensDetails}


class EmbeddingUsage(Object):
    prompt_tokens: int
    total_tokens: int


class TopLogprob(Object):
    token: str
    bytes: list[int] | None
    logprob: float


class TokenLogprob(Object):
    token: str
    bytes: list[int] | None
    logprob: float
    top_logprobs: list[TopLogprob]
    _kinds = {"top_logprobs": TopLogprob}


class ChoiceLogprobs(Object):
    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None
    _kinds = {"content": TokenLogprob, "refusal": TokenLogprob}


class FunctionCall(Object):
    name: str | None
    arguments: str | None


class CustomCall(Object):
    name: str | None
    input: str | None


class ToolCall(Object):
    """A call of a function or of a custom tool."""

    id: str | None
    type: str | None

    @classmethod
    def of(cls, json: dict[str, Any]) -> Self:
        custom = json.get("type") == "custom" and "function" not in json
        kind: Any = (CustomToolCall if custom else FunctionToolCall) if cls is ToolCall else cls
        made: Any = super(ToolCall, kind).of(json)
        return made  # type: ignore[no-any-return]


class FunctionToolCall(ToolCall):
    function: FunctionCall | None
    _kinds = {"function": FunctionCall}


class CustomToolCall(ToolCall):
    custom: CustomCall | None
    _kinds = {"custom": CustomCall}


class ToolCallDelta(Object):
    index: int
    id: str | None
    type: str | None
    function: FunctionCall | None
    _kinds = {"function": FunctionCall}


class URLCitation(Object):
    end_index: int
    start_index: int
    title: str
    url: str


class Annotation(Object):
    type: str
    url_citation: URLCitation | None
    _kinds = {"url_citation": URLCitation}


class Audio(Object):
    id: str | None
    data: str | None
    expires_at: int | None
    transcript: str | None


class ChatCompletionMessage(Object):
    role: str
    content: str | None
    refusal: str | None
    annotations: list[Annotation] | None
    audio: Audio | None
    function_call: FunctionCall | None
    tool_calls: list[ToolCall] | None
    _kinds = {"annotations": Annotation, "audio": Audio, "function_call": FunctionCall, "tool_calls": ToolCall}


class Choice(Object):
    index: int
    message: ChatCompletionMessage
    finish_reason: str | None
    logprobs: ChoiceLogprobs | None
    _kinds = {"message": ChatCompletionMessage, "logprobs": ChoiceLogprobs}


class ChatCompletion(Object):
    """The answer of `chat.completions.create`."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | None
    metadata: dict[str, str] | None
    moderation: Any
    service_tier: str | None
    system_fingerprint: str | None
    _kinds = {"choices": Choice, "usage": CompletionUsage, "moderation": Object}


class ChoiceDelta(Object):
    role: str | None
    content: str | None
    refusal: str | None
    audio: Audio | None
    function_call: FunctionCall | None
    tool_calls: list[ToolCallDelta] | None
    _kinds = {"audio": Audio, "function_call": FunctionCall, "tool_calls": ToolCallDelta}


class ChunkChoice(Object):
    index: int
    delta: ChoiceDelta
    finish_reason: str | None
    logprobs: ChoiceLogprobs | None
    _kinds = {"delta": ChoiceDelta, "logprobs": ChoiceLogprobs}


class ChatCompletionChunk(Object):
    """One event of a streamed chat completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None
    moderation: Any
    obfuscation: str | None
    service_tier: str | None
    system_fingerprint: str | None
    _kinds = {"choices": ChunkChoice, "usage": CompletionUsage, "moderation": Object}


class CompletionLogprobs(Object):
    text_offset: list[int] | None
    token_logprobs: list[float] | None
    tokens: list[str] | None
    top_logprobs: list[dict[str, float]] | None


class CompletionChoice(Object):
    index: int
    text: str
    finish_reason: str | None
    logprobs: CompletionLogprobs | None
    _kinds = {"logprobs": CompletionLogprobs}


class Completion(Object):
    """The answer of `completions.create`, and one event of a streamed one."""

    id: str
    object: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None
    system_fingerprint: str | None
    _kinds = {"choices": CompletionChoice, "usage": CompletionUsage}


class Embedding(Object):
    index: int
    embedding: list[float]
    object: str


class CreateEmbeddingResponse(Object):
    """The answer of `embeddings.create`."""

    data: list[Embedding]
    model: str
    object: str
    usage: EmbeddingUsage
    _kinds = {"data": Embedding, "usage": EmbeddingUsage}


class Model(Object):
    id: str
    object: str
    created: int | None
    owned_by: str | None


class ModelPage(Object):
    """A complete list of models: iterates over `data`, and is its own only page."""

    data: list[Model]
    object: str
    has_more: bool | None
    _kinds = {"data": Model}

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in self.data:
            yield model

    def __len__(self) -> int:
        return len(self.data)

    def has_next_page(self) -> bool:
        return False

    def next_page_info(self) -> None:
        return None

    def iter_pages(self) -> Iterator[ModelPage]:
        yield self

    def get_next_page(self) -> ModelPage:
        raise RuntimeError("No next page expected; please check `.has_next_page()` before calling `.get_next_page()`.")


P = TypeVar("P")


class AsyncPages(Generic[P]):
    """A list that is requested when it is awaited, which gives its first page, or iterated over."""

    def __init__(self, ask: Callable[[], Awaitable[P]]) -> None:
        self._ask = ask

    def __await__(self) -> Generator[Any, None, P]:
        return self._ask().__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        page: Any = await self
        async for item in page:
            yield item


Pages = Annotated[P, "of a list, already requested"]


def page(ask: Callable[[], P]) -> P:
    """The list, requested now."""
    return ask()


def async_page(ask: Callable[[], Awaitable[P]]) -> AsyncPages[P]:
    """The list, requested when it is needed."""
    return AsyncPages(ask)


class Response(Object):
    """An object of the Responses API."""

    id: str
    output: list[Any]

    @property
    def output_text(self) -> str:
        """All text of its messages."""
        items = self.to_dict().get("output") or []
        parts = [part for item in items if item.get("type") == "message" for part in item.get("content") or []]
        return "".join(part.get("text", "") for part in parts if part.get("type") == "output_text")


class ItemPage(Object):
    """Some of a list. last_id: where the next page begins (`after`), if `has_more`."""

    data: list[Any]
    has_more: bool
    first_id: str | None
    last_id: str | None
    _kinds = {"data": Object}


class ResponseEvent(Object):
    """One event of a streamed Response. type: which event it is."""

    type: str
