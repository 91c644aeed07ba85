"""What every section of the schema is made of: the base model and unit types.

Owns: `Section`, the field types (Duration, Size, Money, Name, …), and connectors named with their own keys
(`ConnectorEntry`).
Must never: know a section by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from meshd.config.units import parse_duration, parse_money, parse_size
from meshd.core.text.redaction import is_secret_key, redact
from meshd.sdk.http.credentials import MASK


class Section(BaseModel):
    """A map of known keys. Immutable, since configurations are passed between actors.

    Built on first use (`defer_build`), because most processes that import the schema need little of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True)

    @classmethod
    def unset(cls) -> Self:
        """The section with its defaults. `cls()` would build a validator that the one for the whole file does not
        need."""
        return cls.model_construct()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            hidden = name is not None and value and is_secret_key(name)
            # redact: an address may contain a password.
            yield name, MASK if hidden else redact(value) if isinstance(value, str) else value


class OpenSection(Section):
    """A section whose other keys belong to a connector and are checked against the connector's own schema."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True, hide_input_in_errors=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The keys that belong to the connector, as written."""
        return dict(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # The meaning of a connector's keys is unknown here, so their values are not shown.
        extra = self.__pydantic_extra__ or {}
        for name, value in super().__repr_args__():
            yield name, MASK if name in extra else value


def _unit(parse: Callable[[object], Any], expected: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            return parse(value)
        except ValueError:
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": expected}) from None

    return read


def as_list(value: Any) -> Any:
    """A single name is a list of one."""
    return [value] if isinstance(value, str) else value


def _not_bool(value: Any) -> Any:
    # Pydantic reads `true` as 1, which in a configuration is always a mistake.
    if isinstance(value, bool):
        raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a number"})
    return value


def _at_least(low: float, high: float | None = None) -> Callable[[Any], Any]:
    expected = f"a number of at least {low:g}" if high is None else f"a number from {low:g} to {high:g}"

    def check(value: Any) -> Any:
        if value < low or (high is not None and value > high):
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": expected})
        return value

    return check


def _codes(value: int) -> int:
    if not 100 <= value <= 599:
        raise PydanticCustomError("meshd", "expected {expected}", {"expected": "an HTTP status from 100 to 599"})
    return value


def _mode(value: Any) -> int:
    # YAML reads 0660 as octal already; TOML and JSON have only strings for it.
    if isinstance(value, str):
        try:
            return int(value.removeprefix("0o"), 8)
        except ValueError:
            pass
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    raise PydanticCustomError("meshd", "expected {expected}", {"expected": "file permissions like 0660"})


def _hedge_delay(value: Any) -> Any:
    return value if value == "p95" else _unit(parse_duration, "a duration like 2s, or p95")(value)


def _header_value(value: str) -> str:
    """The value without surrounding whitespace, which copying may leave. A value that no header can contain is
    refused."""
    value = value.strip()
    if any((character < " " and character != "\t") or "\x7f" <= character <= "\x9f" for character in value):
        raise PydanticCustomError(
            "meshd", "has a line break or another control character inside, which is not allowed in a header"
        )
    if any(character > "\xff" for character in value):
        raise PydanticCustomError(
            "meshd", "has characters that are not allowed in an HTTP header (was it pasted with quotes?)"
        )
    return value


def _key(value: str) -> str:
    value = _header_value(value)
    if not value:
        raise PydanticCustomError("meshd", "is empty")
    return value


def _header_name(value: str) -> str:
    value = value.strip()
    if not _TOKEN.fullmatch(value):
        raise PydanticCustomError("meshd", "is not the name of a header: letters, digits and hyphens")
    return value


def _url(value: str) -> str:
    value = value.strip()
    if any(character <= " " or "\x7f" <= character <= "\xa0" for character in value):
        raise PydanticCustomError("meshd", "has a space, a line break or a control character inside")
    return value


def _http_url(value: str) -> str:
    value = _url(value)
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise PydanticCustomError("meshd", "is not an http:// or https:// address")
    return value


_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

HeaderValue = Annotated[str, AfterValidator(_header_value)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
Key = Annotated[str, AfterValidator(_key)]
"""A key for a provider or an app, which is sent in a header."""
Url = Annotated[str, AfterValidator(_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]

Duration = Annotated[
    float,
    BeforeValidator(_unit(parse_duration, "a duration like 30s or a number of seconds")),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*([0-9.]+(ns|us|ms|s|m|h|d|w)\s*)+$|^\s*[0-9.]+\s*$|\$\{"},
                {"type": "number", "minimum": 0},
            ],
            "x-unit": "duration",
        }
    ),
]
HedgeDelay = Annotated[
    float | Literal["p95"],
    BeforeValidator(_hedge_delay),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}], "x-unit": "duration"}),
]
Size = Annotated[
    int,
    BeforeValidator(_unit(parse_size, "a size like 512MB, 1GiB or a number of bytes")),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*([KMGTPkmgtp][iI]?)?[bB]?\s*$|\$\{"},
                {"type": "integer", "minimum": 0},
            ],
            "x-unit": "size",
        }
    ),
]
Money = Annotated[
    int,
    BeforeValidator(_unit(parse_money, "an amount in USD like 0.15")),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}], "x-unit": "money"}),
]
Mode = Annotated[
    int,
    BeforeValidator(_mode),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^(0o)?[0-7]+$"}, {"type": "integer"}], "x-unit": "mode"}),
]
Count = Annotated[int, BeforeValidator(_not_bool), AfterValidator(_at_least(0))]
Positive = Annotated[int, BeforeValidator(_not_bool), AfterValidator(_at_least(1))]
Fraction = Annotated[float, BeforeValidator(_not_bool), AfterValidator(_at_least(0, 1))]
Weight = Annotated[float, BeforeValidator(_not_bool), AfterValidator(_at_least(0))]
Port = Annotated[int, BeforeValidator(_not_bool), AfterValidator(_at_least(1, 65535))]
StatusCode = Annotated[int, BeforeValidator(_not_bool), AfterValidator(_codes)]
Codes = tuple[StatusCode, ...]
Names = tuple[str, ...]


class ConnectorEntry(OpenSection):
    """One connector and its own settings."""

    connector: str = Field(description="Connector id.")


def read_entries(value: Any) -> Any:
    """Accepts one id or one map instead of a list, and an id instead of a map with a `connector`."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    for item in items:
        if not isinstance(item, str | dict | ConnectorEntry):
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a connector id or a list of them"})
    return [{"connector": item} if isinstance(item, str) else item for item in items]


_ENTRY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["connector"], "properties": {"connector": {"type": "string"}}},
    ]
}
Entries = Annotated[
    tuple[ConnectorEntry, ...],
    BeforeValidator(read_entries),
    WithJsonSchema({"anyOf": [*_ENTRY_SCHEMA["anyOf"], {"type": "array", "items": _ENTRY_SCHEMA}]}),
]
