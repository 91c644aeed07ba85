"""Secrets that another gateway's file holds beside its keys: in headers, addresses, arguments and variables.

Owns: the replacement of each by a reference, wherever it is in the configuration that was made.
Must never: let one through because of the place that it is in, or take a reference for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

from meshd.core.text.key_path import Path
from meshd.core.text.redaction import is_secret_key, is_secret_path
from meshd.sdk.http.addresses import REFERENCE, address_parts
from meshd.sdk.http.credentials import secrets_of, without_keys
from meshd.sdk.settings import ProviderSettings

_ONE_REFERENCE = re.compile(REFERENCE)
_REFERENCES = re.compile(rf"(?:{REFERENCE})+")
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+", re.IGNORECASE)
_NAMED = re.compile(r"(?<![\w-])(?P<dashes>-{0,2})(?P<name>[A-Za-z][\w-]*)(?P<between>=|\s+)[\"']?")
"""What is before a value in a command: `--flag value`, `--flag=value`, `VARIABLE=value`."""
_VALUE = re.compile(r"[^\s\"']+")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_USERINFO = re.compile(rf"(?P<user>(?:{REFERENCE}|[^:])*+)(?::(?P<password>.*))?", re.DOTALL)
_QUERY_VALUE = re.compile(r"(?<=[?&])([^=&#?]{1,200})=([^&#]+)")
_OF_NAMES = frozenset({"connector", "provider", "model", "capabilities", "deployments", "quirks"})
"""Keys of providers and models that hold names."""


class Refer(Protocol):
    """Gives the reference to write for a secret. wanted: a name for it. entry: the section and name where it is."""

    def __call__(self, value: str, wanted: str, entry: tuple[str, str]) -> str: ...


def without_secrets(config: dict[str, Any], refer: Refer) -> dict[str, Any]:
    """The same configuration with a reference for each secret."""
    return config | {
        section: {name: _Entry(section, name, refer).clean(entry, (section, name)) for name, entry in entries.items()}
        for section in ("providers", "models")
        if (entries := config.get(section))
    }


class _Entry:
    def __init__(self, section: str, name: str, refer: Refer) -> None:
        self._entry = (section, name)
        self._refer = refer

    def clean(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self.clean(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            words = list(self._arguments(value)) if path[-1] == "args" else value
            return [self.clean(item, (*path, index)) for index, item in enumerate(words)]
        if not isinstance(value, str) or _is_reference(value) or path[2] in _OF_NAMES:
            return value
        name = str(path[-1])
        if path[-2] == "headers":
            return self._header(name, value)
        if path[-2] == "env":
            return self._secret(value, name, own=True) if _is_secret(name, value) else self._text(value, name, own=True)
        return self._secret(value, name) if _is_secret_at(path, value) else self._text(value)

    def _arguments(self, words: list[str]) -> Iterator[str]:
        """The words of a command, without those that are the value of the word before."""
        for before, word in zip(["", *words], words, strict=False):
            flag = before.lstrip("-")
            is_value = before.startswith("-") and not word.startswith("-")
            yield self._secret(word, flag) if is_value and _is_secret(flag, word) else word

    def _header(self, name: str, value: str) -> str:
        scheme = _SCHEME.match(value)
        rest = value[scheme.end() :] if scheme else value
        if _is_reference(rest) or not _is_credential(name, value):
            return self._text(value, name)
        return value[: len(value) - len(rest)] + self._secret(rest, name)

    def _text(self, text: str, name: str = "secret", *, own: bool = False) -> str:
        """A text that may have secrets in it, or be one. own: it is the name of a variable."""
        text = _ADDRESS.sub(lambda found: self._address(found[0]), self._assigned(text))
        plain = _ONE_REFERENCE.sub("", _ADDRESS.sub("", text))
        is_path = "/" in plain and " " not in plain
        return self._secret(text, name, own=own) if not is_path and without_keys(plain) != plain else text

    def _assigned(self, text: str) -> str:
        parts, position = [], 0
        for found in _NAMED.finditer(text):
            value = _VALUE.match(text, found.end())
            if value is None or value.start() < position or not (found["dashes"] or found["between"] == "="):
                continue
            if _is_secret(found["name"], value[0]) and not value[0].startswith("-"):
                parts += [text[position : value.start()], self._secret(value[0], found["name"])]
                position = value.end()
        return "".join([*parts, text[position:]])

    def _address(self, address: str) -> str:
        scheme, userinfo, rest = address_parts(address) or ("", None, address)
        if userinfo and re.search("[?#]", _ONE_REFERENCE.sub("", userinfo)):  # it is not certain what is what
            return self._secret(address, "url")
        user = f"{_USERINFO.sub(self._userinfo, userinfo, count=1)}@" if userinfo is not None else ""
        return scheme + user + _QUERY_VALUE.sub(self._query_value, rest)

    def _userinfo(self, found: re.Match[str]) -> str:
        """A name alone is a token."""
        user, password = found["user"], found["password"]
        if password is None:
            return user if _is_reference(user) else self._secret(user, "token")
        return f"{user}:{password if _is_reference(password) else self._secret(password, 'password')}"

    def _query_value(self, found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if _is_reference(value) or not (_is_credential(name, value) or _is_secret(name, value)):
            return found[0]
        return f"{name}={self._secret(value, name)}"

    def _secret(self, value: str, name: str, *, own: bool = False) -> str:
        return self._refer(value, name if own else f"{self._entry[1]}_{name}", self._entry)


def _is_reference(text: str) -> bool:
    return not text or _REFERENCES.fullmatch(text) is not None


def _is_secret(name: str, value: str) -> bool:
    """Whether a flag or variable of this name has a secret, which is neither a number of tokens nor a file."""
    is_count = name.lower().endswith("tokens") and value.isdigit()
    return is_secret_key(name) and not is_count and not _is_reference(value) and not value.startswith(("/", "./", "~/"))


def _is_secret_at(path: Path, value: str) -> bool:
    return is_secret_path(path) and not (str(path[-1]).lower().endswith("tokens") and value.isdigit())


def _is_credential(name: str, value: str) -> bool:
    """Whether a header or a parameter of an address is a credential, by its name or because it looks random."""
    return bool(secrets_of(ProviderSettings("", "", headers={name: value})))
