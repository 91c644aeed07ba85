"""The client's results: objects over the JSON that the daemon sent.

Owns: attribute access, lazily, and dumps. The kinds and their fields are in `types.py`.
Must never: drop an unknown field, or copy the JSON before it is needed.

An attribute's first access puts its value into what the instance holds, so `__getattr__` runs once for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple, Self

import msgspec

from modelmesh._objects import lenient_json
from modelmesh._objects.extra import extra
from modelmesh._objects.model_methods import NOT_FIELDS, ModelMethods, held

_ABSENT: Final = object()
_NONE, _DEFAULTS = "none", "defaults"  # what a dump leaves out: every null, or nulls in known fields
_NESTED: Final = (dict, list)


class _How(NamedTuple):
    """What a dump leaves out; also as pydantic's options, for the app's own objects that `parse` has read."""

    without: str
    complete: bool
    of_the_app: dict[str, Any]


class Object(ModelMethods):
    """A JSON object with attribute access, and pydantic's methods. Unknown fields are kept: as plain JSON if the kind
    has known fields, else as Objects.

    A known field that the JSON lacks is None; any other raises AttributeError. `mesh` describes what the mesh did for
    the request, `_request_id` is its id; both are None on nested objects.
    """

    _known: ClassVar[frozenset[str]] = frozenset()
    _kinds: ClassVar[dict[str, type[Object]]] = {}
    _lists: ClassVar[frozenset[str]] = frozenset()  # a map in the place of a list stays one, as in the SDK
    mesh: Any = None
    _request_id: str | None = None
    _json: dict[str, Any]

    def __init__(self, **fields: Any) -> None:
        self._json = fields

    def __init_subclass__(cls) -> None:
        own = vars(cls).get("__annotations__", {})
        cls._known = cls._known | frozenset(name for name in own if not name.startswith("_"))
        cls._lists = cls._lists | frozenset(name for name, kind in own.items() if str(kind).startswith("list["))

    @classmethod
    def of(cls, json: dict[str, Any]) -> Self:
        """An object over this map, without copying it."""
        self = cls.__new__(cls)
        self._json = json
        return self

    def __getattr__(self, name: str) -> Any:
        value = self._json.get(name, _ABSENT)
        if value is _ABSENT:
            if name in self._known:
                return None
            raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")
        if value.__class__ in _NESTED and not (value.__class__ is dict and name in self._lists):
            kind = self._kinds.get(name)
            value = extra(value) if kind is None and self._known else _wrap(value, kind or Object)
        setattr(self, name, value)
        return value

    def to_dict(self, *, exclude_unset: bool = True, use_api_names: bool = True, **options: Any) -> dict[str, Any]:
        """The JSON as it was received, with later changes."""
        return self.model_dump(exclude_unset=exclude_unset, by_alias=use_api_names, **options)

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        exclude_none: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        by_alias: bool | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """The JSON as nested dicts; known fields that were not received are None, or absent with `exclude_unset`.

        include, exclude: names, or a mapping of names to the same for what is below (True and `...`: all of it), as in
        pydantic; for lists the index or `__all__`. mode, by_alias: for what `parse` has read.
        """
        complete = not (exclude_unset or exclude_none or exclude_defaults)
        without = _NONE if exclude_none else _DEFAULTS if exclude_defaults else ""
        of_the_app: dict[str, Any] = {"mode": mode, "by_alias": by_alias, "exclude_none": exclude_none}
        of_the_app |= {"exclude_unset": exclude_unset, "exclude_defaults": exclude_defaults}
        dumped = self._dump(_How(without, complete, of_the_app))
        if include is None and exclude is None:
            return dumped
        return _selected(dumped, include, exclude)  # type: ignore[no-any-return]

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        return _dump_json(self.to_dict(mode="json", **options), indent)

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        return _dump_json(self.model_dump(mode="json", **options), indent)

    def _dump(self, how: _How) -> dict[str, Any]:
        own = held(self)
        merged = dict(own["_json"])
        merged.update((name, value) for name, value in own.items() if name not in NOT_FIELDS)
        if how.complete:
            for name in sorted(self._known - merged.keys()):
                merged[name] = None
        dumped = {}
        for name, value in merged.items():
            if value is None and (how.without == _NONE or (how.without == _DEFAULTS and name in self._known)):
                continue
            kind = self._kinds.get(name)
            nested = list if name in self._lists else _NESTED
            if (how.complete or how.without) and kind is not None and isinstance(value, nested):
                value = _wrap(value, kind)
            # In fields that providers add, null is kept.
            dumped[name] = _unwrap(value, how if kind is not None or not self._known else how._replace(without=""))
        return dumped

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names())
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        own = {name: value for name, value in held(self).items() if name != "_json"}
        return _restore, (type(self), self._json, own)


def _selected(value: Any, include: Any, exclude: Any) -> Any:
    """The selected part of a dumped value; `include` and `exclude` are sets, mappings, or True or `...` for all of
    it."""
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
    """What a selection contains for a key: None for nothing, _ALL for all of it, or a selection one level down."""
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
    """The union of both, as pydantic joins an index with `__all__`."""
    first, second = (part if isinstance(part, Mapping) else dict.fromkeys(part, True) for part in (one, other))
    joined = dict(second)
    for name, part in first.items():
        whole = part is True or part is ... or joined.get(name) in (True, ...)
        joined[name] = True if whole else _both(part, joined[name]) if name in joined else part
    return joined


_ALL: Final = object()


def _restore(kind: type[Object], json: dict[str, Any], own: dict[str, Any]) -> Object:
    restored = kind.of(json)
    held(restored).update(own)
    return restored


def _wrap(value: Any, kind: type[Object]) -> Any:
    if isinstance(value, dict):
        return kind.of(value)
    if isinstance(value, list):
        if value and value[0].__class__ is float:
            return value
        return [_wrap(item, kind) for item in value]
    return value


def _unwrap(value: Any, how: _How) -> Any:
    if isinstance(value, Object):
        return value._dump(how)  # noqa: SLF001 - a public name could be a field's
    if isinstance(value, list):
        return [_unwrap(item, how) for item in value]
    if isinstance(value, dict):
        items = ((name, _unwrap(item, how)) for name, item in value.items())
        return {name: item for name, item in items if item is not None or how.without != _NONE}
    if value.__class__ not in _PLAIN and (of_the_app := getattr(value, "__pydantic_serializer__", None)) is not None:
        return of_the_app.to_python(value, **how.of_the_app)
    return value


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def encode_unknown(value: Any) -> Any:
    """For msgspec: how values of other types are written into a request."""
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json", exclude_unset=True, by_alias=True)
    if callable(dump := getattr(value, "to_dict", None)):
        return dump()
    for kind in (str, int, float):
        if isinstance(value, kind):
            return getattr(kind, f"__{kind.__name__}__")(value)  # the plain value, whatever the subclass makes of it
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _dump_json(value: Any, indent: int | None) -> str:
    encoded = lenient_json.encode(value, encode_unknown)
    return (msgspec.json.format(encoded, indent=indent) if indent is not None else encoded).decode()
