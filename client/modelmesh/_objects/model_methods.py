"""The methods of pydantic's models, which code written for the OpenAI SDK calls on its answers.

Owns: copies, set and extra fields, and objects created from maps. Dumps are in `object.py`.
Must never: import pydantic; its core only when pydantic itself asks.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from modelmesh._objects import lenient_json

_Json = dict[str, Any]
NOT_FIELDS = frozenset({"_json", "mesh", "_request_id"})
"""Names that are not fields, although `held` contains them."""


class _Held:
    """A class whose instances have a map of their own."""


held: Callable[[Any], dict[str, Any]] = vars(_Held)["__dict__"].__get__
"""That map, for an object: what is in it needs no `__getattr__`. Programs that look for it find `__dict__` below."""


class ModelMethods(_Held):
    """The methods of an object over JSON: `_json` is what came, `held` also has what was read or set since."""

    _known: ClassVar[frozenset[str]]

    @classmethod
    def of(cls, json: _Json) -> Self:
        raise NotImplementedError

    def model_dump(self, **options: Any) -> _Json:
        raise NotImplementedError

    def model_dump_json(self, **options: Any) -> str:
        raise NotImplementedError

    @classmethod
    def model_construct(cls, _fields_set: Any = None, **values: Any) -> Self:
        """An object with these fields, unchecked."""
        return cls.of(values)

    construct = model_construct

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Self:
        """An object from a map, or from another object's fields. Raises TypeError for anything else."""
        if isinstance(obj, cls):
            return obj
        if isinstance(obj, Mapping):
            return cls.of({**obj})
        if callable(dump := getattr(obj, "model_dump", None)):
            return cls.of(dump())
        raise TypeError(f"{cls.__name__} is made from a map, not from {type(obj).__name__}")

    parse_obj = model_validate

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **_: Any) -> Self:
        """Raises ValueError if it is not JSON."""
        data = json_data.encode() if isinstance(json_data, str) else bytes(json_data)
        return cls.model_validate(lenient_json.decode(data))

    parse_raw = model_validate_json

    def _names(self) -> dict[str, None]:
        """Names of the fields that were received or set, in order."""
        own = held(self)
        return dict.fromkeys(name for name in (*own["_json"], *own) if name not in NOT_FIELDS)

    @property
    def model_fields_set(self) -> set[str]:
        """The known fields that were received or set."""
        return set(self._known.intersection(self._names()))

    @property
    def model_extra(self) -> _Json:
        """The fields that the API does not know."""
        return {name: getattr(self, name) for name in self._names() if name not in self._known}

    def __iter__(self) -> Iterator[Any]:
        """(name, value) of each field, missing ones as None: `dict(message)`."""
        for name in dict.fromkeys((*sorted(self._known), *self._names())):
            yield name, getattr(self, name)

    @property
    def __dict__(self) -> _Json:  # type: ignore[override]
        """Each field with its value, as `vars` shows them for a pydantic model; a copy."""
        return dict(ModelMethods.__iter__(self))

    @property
    def __pydantic_serializer__(self) -> Any:
        """How pydantic writes it as a part of something else; only pydantic asks for it."""
        return _serializer()

    def __delattr__(self, name: str) -> None:
        own = held(self)
        if name not in own and name not in own["_json"]:
            raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")
        own.pop(name, None)
        if name in own["_json"]:
            own["_json"] = {key: value for key, value in own["_json"].items() if key != name}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with changes; nested objects are shared unless `deep`."""
        for name in self._names():
            getattr(self, name)  # nested objects become shared ones
        own = {name: value for name, value in held(self).items() if name != "_json"}
        made = type(self).of(dict(held(self)["_json"]))
        held(made).update(copy.deepcopy(own) if deep else own)
        held(made).update(update or {})
        return made

    def __copy__(self) -> Self:
        return self.model_copy()

    def copy(self, *, include: Any = None, exclude: Any = None, update: Any = None, deep: bool = False) -> Self:
        """As `model_copy`; include, exclude: names of fields."""
        made: Self = self.model_copy(update=update, deep=deep)
        for name in list(made._names()):
            if (include is not None and name not in include) or (exclude is not None and name in exclude):
                delattr(made, name)
        return made

    # The older names. The last two come last, since they hide Python's own.

    def json(self, **options: Any) -> str:
        return self.model_dump_json(**options)

    def dict(self, **options: Any) -> _Json:
        return self.model_dump(**options)


@functools.cache
def _serializer() -> Any:
    """The serializer of the client's objects, for pydantic."""
    from pydantic_core import SchemaSerializer, core_schema

    def dump(value: Any, info: Any) -> Any:
        return value.model_dump(mode=info.mode)

    written = core_schema.plain_serializer_function_ser_schema(dump, info_arg=True)
    return SchemaSerializer(core_schema.any_schema(serialization=written))


def json_of(found: Any) -> _Json:
    """The JSON that was received, not copied."""
    return held(found)["_json"]  # type: ignore[no-any-return]
