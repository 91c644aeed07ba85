"""Reads a format's JSON objects into records, and writes them back unchanged.

Nothing here trusts what it reads. An app's mistake is an InvalidRequestError that names the field. A provider's answer
is read as far as possible; what cannot be read stays in the original.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec

from meshd.formats.conversation.parts import Json, Original, Record
from meshd.formats.conversation.request import ToolChoice, ToolMode
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError

LARGEST = 2**63 - 1
"""The limit of a number that every reader of JSON can represent."""
_ABSENT: Any = object()
P = ParamSpec("P")
Made = TypeVar("Made")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Fields:
    """The fields of an object, taken one by one; what is left is unknown to the format's reader.

    strict: a value of another type than the format's is refused. Otherwise it counts as not given.
    """

    __slots__ = ("_odd", "_value", "format", "left", "strict", "where")

    def __init__(self, value: Mapping[str, Any], where: str, format: str, *, strict: bool) -> None:
        self.where = where
        self.format = format
        self.strict = strict
        self.left = dict(value)
        self._value = value
        self._odd = False

    @classmethod
    def of(cls, value: Any, where: str, format: str, *, strict: bool) -> Fields:
        """An object; of anything else, none of its fields."""
        if isinstance(value, dict):
            return cls(value, where, format, strict=strict)
        fields = cls({}, where, format, strict=strict)
        fields.refuse("", "a map")
        fields._value = value
        return fields

    def original(self) -> Original | None:
        """The original, or None if a writer would reproduce it from the fields that were taken."""
        return Original(self.format, json_of(self._value)) if self.left or self._odd else None

    def odd(self) -> None:
        """Mark the object as using another spelling than a writer would."""
        self._odd = True

    def place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where and name else self.where or name

    def refuse(self, name: str, what: str) -> None:
        """Report a value that the format does not allow. Raises InvalidRequestError if strict."""
        self._odd = True
        if self.strict:
            raise invalid(self.place(name), what)

    def take(self, name: str) -> Any:
        """None if absent or null."""
        value = self.left.pop(name, _ABSENT)
        if value is _ABSENT:
            return None
        if value is None:
            self._odd = True
        return value

    def inner(self, name: str) -> Fields:
        """An object inside this one; without fields if there is none. A caller that takes it must keep its original as
        part of this object's: see `keep`."""
        value = self.take(name)
        if value is None:
            return Fields({}, self.place(name), self.format, strict=self.strict)
        return Fields.of(value, self.place(name), self.format, strict=self.strict)

    def keep(self, inner: Fields) -> None:
        """Mark this object if the one inside it is marked."""
        self._odd = self._odd or bool(inner.left) or inner._odd

    def text(self, name: str, *, always: bool = False) -> str:
        """always: a writer writes the field even if it is empty."""
        if name not in self.left:
            self._odd = self._odd or always
            return ""
        value = self.left.pop(name)
        if not value:
            self._odd = self._odd or value is None or not always
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse(name, "text")
            return ""
        return value

    def number(self, name: str) -> float | None:
        if name not in self.left:
            return None
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
            self.refuse(name, "a number")
            return None
        return value

    def whole(self, name: str) -> int | None:
        if name not in self.left:
            return None
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not -LARGEST <= value <= LARGEST:
            self.refuse(name, "a whole number")
            return None
        return value

    def flag(self, name: str) -> bool | None:
        if name not in self.left:
            return None
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "true or false")
            return None
        return value

    def on(self, name: str) -> bool:
        """A flag that a writer leaves out if it is false."""
        value = self.flag(name)
        self._odd = self._odd or value is False
        return bool(value)

    def entries(self, name: str) -> list[Any]:
        """A list that a writer leaves out if it is empty."""
        if name not in self.left:
            return []
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(name, "a list")
            return []
        self._odd = self._odd or not value
        return value

    def json(self, name: str) -> Json | None:
        if name not in self.left:
            return None
        value = self.take(name)
        return None if value is None else json_of(value)


def invalid(where: str, what: str) -> InvalidRequestError:
    name = where or "the body"
    return InvalidRequestError(
        f"`{name}` has to be {what}" if where else f"{name} has to be {what}", param=where or None
    )


class Unreadable(ValueError):
    """A provider sent something that is not a JSON object, or is nested too deeply."""


def not_too_deep(refused: Callable[[str], Exception], what: str) -> Callable[[Callable[P, Made]], Callable[P, Made]]:
    """Decorates a function that recurses into `what`: raises `refused` if that is nested too deeply."""

    def decorated(work: Callable[P, Made]) -> Callable[P, Made]:
        @wraps(work)
        def run(*args: P.args, **kwargs: P.kwargs) -> Made:
            try:
                return work(*args, **kwargs)
            except RecursionError:
                raise refused(f"{what} is nested too deeply") from None

        return run

    return decorated


def request_of(body: bytes) -> dict[str, Any]:
    """An app's JSON object. Raises InvalidRequestError."""
    try:
        document = _decode(lenient.whole(body))
    except lenient.UNREADABLE as error:
        raise InvalidRequestError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(document, dict):
        raise InvalidRequestError("the body is not a JSON object", code="invalid_json")
    return document


def answer_of(body: bytes) -> dict[str, Any]:
    """A provider's JSON object, also in non-standard JSON. Raises Unreadable."""
    whole = lenient.whole(body)
    try:
        document = _decode(whole)
    except lenient.UNREADABLE:
        try:
            # Values that JSON cannot express (NaN) must be read in the form in which they will be written.
            document = lenient.decode(json_of(lenient.decode(whole)))
        except (lenient.NotJSON, RecursionError) as error:
            raise Unreadable(str(error)) from None
    if not isinstance(document, dict):
        raise Unreadable("it is not an object")
    return document


def json_of(value: Any) -> Json:
    """As JSON that every reader can read; numbers of any length stay as they are."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, OverflowError, ValueError):
        pass
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return lenient.plain(value)


def as_it_came(record: Record, made: dict[str, Any], format: str, read: Callable[[Fields], Record]) -> Any:
    """What to write for a record: its original as long as that says the same, else `made` with the original's unknown
    fields. read: reads the record from an object of this format."""
    original = record.original
    if original is None or original.format != format:
        return made
    value = lenient.decode(original.json)
    fields = Fields.of(value, "", format, strict=False)
    if read(fields) == record:
        return msgspec.Raw(original.json)
    return {**fields.left, **made}


def allowed_tools(value: Mapping[str, Any], named: Callable[[Any], str]) -> ToolChoice | None:
    """A choice among several tools, as OpenAI's APIs write it; None if it cannot be read. named: the name of one, or
    ""."""
    mode, tools = value.get("mode"), value.get("tools")
    names = [named(tool) for tool in tools] if isinstance(tools, list) else []
    if mode not in ("auto", "required") or not names or not all(names):
        return None
    return ToolChoice(ToolMode(mode), tuple(names))
