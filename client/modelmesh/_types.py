"""What the client hands out: objects over the JSON that the daemon sent.

Owns: attribute access, lazily; the known fields of each kind, which are None where the JSON lacks them.
Must never: drop a field it does not know, or copy the JSON before somebody asks for it.

An attribute's first access puts its value into the instance's `__dict__`, so `__getattr__` runs once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self

import msgspec

from modelmesh import _json

_ABSENT: Final = object()
_NESTED: Final = frozenset({dict, list})


class Object:
    """A JSON object with attribute access. Nested objects are Objects, unknown fields are kept.

    A field that the kind knows is None where the JSON lacks it, any other raises AttributeError.
    `mesh` says what the mesh did for the request, `_request_id` is its id; both are None on nested objects.
    """

    _known: ClassVar[frozenset[str]] = frozenset()
    _kinds: ClassVar[dict[str, type[Object]]] = {}
    mesh: MeshDetails | None = None
    _request_id: str | None = None
    _json: dict[str, Any]

    def __init__(self, **fields: Any) -> None:
        self.__dict__["_json"] = fields

    def __init_subclass__(cls) -> None:
        own = vars(cls).get("__annotations__", ())
        cls._known = cls._known | frozenset(name for name in own if not name.startswith("_"))

    @classmethod
    def of(cls, json: dict[str, Any]) -> Self:
        """The object over this map, which it does not copy."""
        self = cls.__new__(cls)
        self._json = json
        return self

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        value = fields["_json"].get(name, _ABSENT)
        if value is _ABSENT:
            if name in self._known:
                return None
            raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")
        if value.__class__ in _NESTED:
            value = _wrap(value, self._kinds.get(name, Object))
        fields[name] = value
        return value

    def to_dict(self, *, exclude_none: bool = False, **_: Any) -> dict[str, Any]:
        """The JSON as it came, with what was set since."""
        return self._dump(exclude_none, complete=False)

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        exclude_none: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        """The JSON as nested dicts; known fields that did not come are None, or absent with `exclude_unset`.

        include, exclude: names, or a mapping of names to the same of what is below (True and `...`: all of it), as
        pydantic has them; for lists the index or `__all__`. Every mode gives what JSON has.
        """
        complete = not (exclude_unset or exclude_none or exclude_defaults)
        dumped = self._dump(exclude_none or exclude_defaults, complete=complete)
        if include is None and exclude is None:
            return dumped
        return _selected(dumped, include, exclude)  # type: ignore[no-any-return]

    def to_json(self, *, indent: int | None = 2, exclude_none: bool = False, **_: Any) -> str:
        return _dump_json(self.to_dict(exclude_none=exclude_none), indent)

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        return _dump_json(self.model_dump(**options), indent)

    def _dump(self, exclude_none: bool, complete: bool) -> dict[str, Any]:
        merged = dict(self.__dict__["_json"])
        merged.update((name, value) for name, value in self.__dict__.items() if name not in _NOT_FIELDS)
        if complete:
            for name in sorted(self._known - merged.keys()):
                merged[name] = None
        dumped = {}
        for name, value in merged.items():
            if value is None and exclude_none:
                continue
            kind = self._kinds.get(name)
            if complete and kind is not None and isinstance(value, dict | list):
                value = _wrap(value, kind)
            dumped[name] = _unwrap(value, exclude_none, complete)
        return dumped

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = dict.fromkeys([*self.__dict__["_json"], *self.__dict__])
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names if name not in _NOT_FIELDS)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.to_dict(), self.mesh, self._request_id)


def _selected(value: Any, include: Any, exclude: Any) -> Any:
    """What is left of a dumped value; `include` and `exclude` are sets, mappings, or True or `...` for all of it."""
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return value
    kept = []
    for key, item in items:
        wanted = _below(include, key, len(value))
        unwanted = _below(exclude, key, len(value))
        if (include is not None and wanted is None) or unwanted is _ALL:
            continue
        below = (None if wanted is _ALL else wanted, unwanted)
        kept.append((key, _selected(item, *below) if any(part is not None for part in below) else item))
    return dict(kept) if isinstance(value, dict) else [item for _, item in kept]


def _below(selection: Any, key: Any, length: int) -> Any:
    """What a selection says of a key: None for nothing, _ALL for all of it, or a selection of what is below."""
    if selection is None:
        return None
    if not isinstance(selection, Mapping):
        return _ALL if key in selection or (isinstance(key, int) and key - length in selection) else None
    names = (key, key - length, "__all__") if isinstance(key, int) else (key,)
    found = None
    for part in (selection[name] for name in names if name in selection):
        if part is True or part is ...:
            return _ALL
        if part is not False and part is not None:
            found = part if found is None else _both(found, part)
    return found


def _both(one: Any, other: Any) -> dict[Any, Any]:
    """What either selects, as pydantic joins an index with `__all__`."""
    first, second = (part if isinstance(part, Mapping) else dict.fromkeys(part, True) for part in (one, other))
    joined = dict(second)
    for name, part in first.items():
        whole = part is True or part is ... or joined.get(name) in (True, ...)
        joined[name] = True if whole else _both(part, joined[name]) if name in joined else part
    return joined


_ALL: Final = object()
_NOT_FIELDS = frozenset({"_json", "mesh", "_request_id"})


def _restore(kind: type[Object], json: dict[str, Any], mesh: MeshDetails | None, request_id: str | None) -> Object:
    restored = kind.of(json)
    if mesh is not None:
        restored.mesh = mesh
    if request_id is not None:
        restored._request_id = request_id
    return restored


def _wrap(value: Any, kind: type[Object]) -> Any:
    if isinstance(value, dict):
        return kind.of(value)
    if isinstance(value, list):
        if value and value[0].__class__ is float:
            return value
        return [_wrap(item, kind) for item in value]
    return value


def _unwrap(value: Any, exclude_none: bool, complete: bool) -> Any:
    if isinstance(value, Object):
        return value._dump(exclude_none, complete)
    if isinstance(value, list):
        return [_unwrap(item, exclude_none, complete) for item in value]
    if isinstance(value, dict):
        items = ((name, _unwrap(item, exclude_none, complete)) for name, item in value.items())
        return {name: item for name, item in items if not (exclude_none and item is None)}
    if value.__class__ not in _PLAIN and callable(dump := getattr(value, "model_dump", None)):
        return dump()  # what `parse` has read
    return value


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def encode_unknown(value: Any) -> Any:
    """For msgspec: how things that are no JSON type are written into a request."""
    for name in ("to_dict", "model_dump"):
        if callable(dump := getattr(value, name, None)):
            return dump()
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _dump_json(value: Any, indent: int | None) -> str:
    encoded = _json.encode(value, encode_unknown)
    return (msgspec.json.format(encoded, indent=indent) if indent is not None else encoded).decode()


class MeshDetails(Object):
    """What the mesh did: pool, real model, provider, attempts (model, provider, status, reason, duration).

    Times are in seconds, cost in USD, None where the daemon said nothing. Also readable as a mapping. cached: no
    provider was asked, and it cost nothing; it was kept `age` seconds ago, or is that of the same request under way
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
        return self.__dict__["_json"][name]

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__["_json"]

    def get(self, name: str, default: Any = None) -> Any:
        return self.__dict__["_json"].get(name, default)

    def keys(self) -> Any:
        return self.__dict__["_json"].keys()


class CompletionUsage(Object):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Any
    completion_tokens_details: Any


class FunctionCall(Object):
    name: str | None
    arguments: str | None


class ToolCall(Object):
    id: str | None
    type: str | None
    index: int | None
    function: FunctionCall
    custom: Any
    _kinds = {"function": FunctionCall}


class ChatCompletionMessage(Object):
    role: str
    content: str | None
    refusal: str | None
    annotations: list[Any] | None
    audio: Any
    function_call: FunctionCall | None
    tool_calls: list[ToolCall] | None
    _kinds = {"function_call": FunctionCall, "tool_calls": ToolCall}


class Choice(Object):
    index: int
    message: ChatCompletionMessage
    finish_reason: str | None
    logprobs: Any
    _kinds = {"message": ChatCompletionMessage}


class ChatCompletion(Object):
    """The answer of `chat.completions.create`."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | None
    service_tier: str | None
    system_fingerprint: str | None
    _kinds = {"choices": Choice, "usage": CompletionUsage}


class ChoiceDelta(Object):
    role: str | None
    content: str | None
    refusal: str | None
    function_call: FunctionCall | None
    tool_calls: list[ToolCall] | None
    _kinds = {"function_call": FunctionCall, "tool_calls": ToolCall}


class ChunkChoice(Object):
    index: int
    delta: ChoiceDelta
    finish_reason: str | None
    logprobs: Any
    _kinds = {"delta": ChoiceDelta}


class ChatCompletionChunk(Object):
    """One event of a streamed chat completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None
    service_tier: str | None
    system_fingerprint: str | None
    _kinds = {"choices": ChunkChoice, "usage": CompletionUsage}


class CompletionChoice(Object):
    index: int
    text: str
    finish_reason: str | None
    logprobs: Any


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
    usage: CompletionUsage
    _kinds = {"data": Embedding, "usage": CompletionUsage}


class Model(Object):
    id: str
    object: str
    created: int | None
    owned_by: str | None


class ModelPage(Object):
    """A list of models, which came whole: iterates over `data`."""

    data: list[Model]
    object: str
    has_more: bool | None
    _kinds = {"data": Model}

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)
