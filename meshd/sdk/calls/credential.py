"""An app's own credential, for providers with `auth.method: passthrough`.

Owns: which headers may hold one, and how it is given to a provider. Must never: show one, or be compared but by its
digest.
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
"""The form of the mesh's own tokens, known or not: no provider gets one."""
_SALT = os.urandom(32)


class Credential:
    """values: header → value, as they came. format: that its app speaks, "": the provider's own."""

    __slots__ = ("_format", "_values")

    def __init__(self, values: Mapping[str, str], format: str = "") -> None:
        self._values = dict(values)
        self._format = format

    def __repr__(self) -> str:
        return "Credential(•••)"

    @property
    def digest(self) -> str:
        """The same only for the same credential in this process, and useless elsewhere."""
        text = json.dumps(self._values, sort_keys=True)
        return hashlib.blake2b(text.encode(), key=_SALT, digest_size=16).hexdigest()

    @property
    def secrets(self) -> Iterator[str]:
        """What is to be masked."""
        for value in self._values.values():
            yield value
            yield bare(value)

    def of_format(self, format: str) -> Credential:
        """The same of an app that speaks it."""
        return Credential(self._values, format)

    def for_provider(self, format: str, usual: str, others: Iterable[str]) -> tuple[str, str]:
        """(header, value) for a provider of that format whose keys are in the header `usual`: the one that the app sent
        there; else, if it speaks the same format, one that this format has keys in, as it came; else ("", the bare
        key)."""
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
    key is only a word for programs that insist on one."""
    found = {name: value.strip() for name in HEADERS if (value := headers.pop(name, ""))}
    values = {name: value for name, value in found.items() if is_credential(value) and not is_nothing(bare(value))}
    return Credential(values) if values else None


def is_credential(value: str) -> bool:
    key = bare(value)
    return bool(key) and not OWN_TOKEN.fullmatch(key) and key.isascii() and key.isprintable()
