"""An app's own credential, for providers with `auth.method: passthrough`.

Owns: which headers may contain one, and how it is passed to a provider. Must never: show one, or be compared except by
its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

HEADERS: Final = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
"""By name in lower case."""
OWN_TOKEN = re.compile(r"mesh-[A-Za-z0-9_-]{43}")
"""The form of the mesh's own tokens, valid or not: none is ever sent to a provider."""
_SALT = os.urandom(32)


class Credential:
    """values: header → value, as received. format: the one that its app speaks, "": the provider's own."""

    __slots__ = ("_format", "_values")

    def __init__(self, values: Mapping[str, str], format: str = "") -> None:
        self._values = dict(values)
        self._format = format

    def __repr__(self) -> str:
        return "Credential(•••)"

    @property
    def digest(self) -> str:
        """Equal only for equal credentials in this process, and useless elsewhere."""
        text = json.dumps(self._values, sort_keys=True)
        return hashlib.blake2b(text.encode(), key=_SALT, digest_size=16).hexdigest()

    @property
    def secrets(self) -> Iterator[str]:
        """The texts that have to be masked."""
        for value in self._values.values():
            yield value
            yield bare(value)

    def of_format(self, format: str) -> Credential:
        """The same credential, of an app that speaks this format."""
        return Credential(self._values, format)

    def for_provider(self, format: str, usual: str, others: Iterable[str]) -> tuple[str, str]:
        """(header, value) for a provider of that format whose key belongs into the header `usual`: what the app sent in
        that header; else, if the app speaks the same format, what it sent in one of the format's other headers for
        keys; else ("", the bare key)."""
        for name in (usual.lower(), *(others if self._format in ("", format) else ())):
            if name in self._values:
                return name, self._values[name]
        return "", bare(next(iter(self._values.values())))


def bare(value: str) -> str:
    """The key or token in a header's value."""
    scheme, _, key = value.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else value


def taken_from(headers: dict[str, str], is_nothing: Callable[[str], bool] = lambda key: False) -> Credential | None:
    """Takes the credential out of an app's headers, by name in lower case; None if there is none. is_nothing: whether a
    key is only a placeholder for programs that insist on one."""
    found = {name: value.strip() for name in HEADERS if (value := headers.pop(name, ""))}
    values = {name: value for name, value in found.items() if is_credential(value) and not is_nothing(bare(value))}
    return Credential(values) if values else None


def is_credential(value: str) -> bool:
    key = bare(value)
    return bool(key) and not OWN_TOKEN.fullmatch(key) and key.isascii() and key.isprintable()
