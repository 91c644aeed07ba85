"""What a provider's row (`meshd/catalogue/providers.toml`) and its models change in a request's fields.

Owns: the quirks `rename`, `drop`, `add`, `usual`, `clamp`, `roles` and `drop_in_messages`, and what a model refuses
(`meshd/catalogue/parameters.toml`).
Must never: change what no quirk names, or leave out silently: it is logged, once for each model.

  rename            fields to send under another name
  drop              fields not to send
  add               fields to send where the request does not have them
  usual             name → a default value, which is not sent
  clamp             name → the least and the most that a number may be; beyond, it becomes that
  roles             of messages: role → the one to send instead
  drop_in_messages  fields of messages not to send
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from meshd.catalogue.parameters import refused_by, refused_of
from meshd.sdk.provider import ProviderSettings
from meshd.sdk.reading.lenient import UNREADABLE, whole

logger = logging.getLogger("meshd.providers")

_MOST_TOLD = 1000  # models whose refused parameters were logged
_encode = msgspec.json.Encoder().encode
_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_number = msgspec.json.Decoder(float).decode


class _Told(msgspec.Struct, frozen=True):
    """The quirks, with their types."""

    rename: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    add: dict[str, Any] = {}
    usual: dict[str, Any] = {}
    clamp: dict[str, tuple[float, float]] = {}
    roles: dict[str, str] = {}
    drop_in_messages: tuple[str, ...] = ()


class BodyQuirks:
    """Raises ValueError for quirks of another type."""

    def __init__(self, settings: ProviderSettings) -> None:
        try:
            told = msgspec.convert(dict(settings.quirks), _Told)
        except msgspec.ValidationError as error:
            raise ValueError(f"provider {settings.name}: quirks: {error}") from None
        self._provider, self._connector = settings.name, settings.connector
        self._rename, self._drop, self._clamp = told.rename, frozenset(told.drop), told.clamp
        self._add = {name: msgspec.Raw(_encode(value)) for name, value in told.add.items()}
        self._usual = {name: _encode(value) for name, value in told.usual.items()}
        self._roles = {_encode(role): msgspec.Raw(_encode(other)) for role, other in told.roles.items()}
        self._drop_inside = frozenset(told.drop_in_messages)
        self._marks = (*self._roles, *(_encode(name) for name in self._drop_inside))
        self._any = bool(self._rename or self._drop or self._clamp or self._add or self._usual)
        self._logged: set[tuple[str, frozenset[str]]] = set()

    def in_messages(self, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        """The request with its messages' roles and fields as this provider takes them; the same object if they are."""
        given = fields.get("messages")
        if given is None or not any(mark in bytes(given) for mark in self._marks):
            return fields
        try:
            messages = _messages(whole(bytes(given)))
        except UNREADABLE:
            return fields  # the provider will report what is wrong with it
        changed = [self._message(each) for each in messages]
        return fields if changed == messages else {**fields, "messages": msgspec.Raw(_encode(changed))}

    def _message(self, message: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
        role = message.get("role", msgspec.Raw(b""))
        kept = {name: value for name, value in message.items() if name not in self._drop_inside}
        return {**kept, "role": self._roles.get(bytes(role), role)} if role else kept

    def applied(self, fields: dict[str, Any], model: str, effort: Callable[[], str]) -> dict[str, Any]:
        """The fields to send. effort: the effort of reasoning that the request asks for, "" for none."""
        rows = refused_by(self._connector, model)
        if rows and (refused := refused_of(rows, fields, effort())):
            self._tell(model, refused)
            fields = {name: value for name, value in fields.items() if name not in refused}
        if not self._any:
            return fields
        said = {name: value for name, value in fields.items() if name not in self._usual or self._matters(name, value)}
        kept = {name: self._clamped(name, value) for name, value in said.items() if name not in self._drop}
        return {**self._add, **{self._rename.get(name, name): value for name, value in kept.items()}}

    def _matters(self, name: str, value: Any) -> bool:
        return bytes(value).strip() != self._usual[name]

    def _clamped(self, name: str, value: Any) -> Any:
        bounds = self._clamp.get(name)
        if bounds is None:
            return value
        try:
            number = _number(bytes(value))
        except UNREADABLE:
            return value
        within = min(max(number, bounds[0]), bounds[1])
        return value if within == number else msgspec.Raw(_encode(within))

    def _tell(self, model: str, refused: frozenset[str]) -> None:
        if (model, refused) in self._logged or len(self._logged) >= _MOST_TOLD:
            return
        self._logged.add((model, refused))
        logger.info("%s: %s takes no %s: left out", self._provider, model, ", ".join(sorted(refused)))
