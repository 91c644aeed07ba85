"""Which values of a configuration are secret, and what is shown instead.

Owns: the rule by which a key is known to hold a secret, and the masking of a whole configuration.
Must never: show a literal secret because a reference stands next to it.
"""

from __future__ import annotations

import re
from typing import Any

from meshd.core.text.key_path import Path
from meshd.sdk.http.addresses import REFERENCE, address_parts, is_plain_header
from meshd.sdk.http.credentials import MASK

_SECRET_KEY = re.compile(
    r"(?:api[-_]?keys?|(?:secret|private|access|account|subscription|encryption)[-_]?keys?|auth[-_]?keys?"
    r"|(?:^|[-_])tokens?|secrets?|secret[-_]ids?|passwords?|passphrase|authorization|cookie|credentials?)$",
    re.IGNORECASE,
)
# No part of a pattern runs over the next "{", so that text full of unclosed references takes linear time.
_REFERENCE = re.compile(r"\$\{(secrets|env):([^{}]*)\}")
_USERINFO = re.compile(rf"(?P<user>(?:{REFERENCE}|[^:])*+)(?::(?P<password>.*))?", re.DOTALL)
_USERINFO_INSIDE = re.compile(
    rf"(?<=://)(?P<user>(?:{REFERENCE}|[^/@\s:])*+)(?::(?P<password>(?:{REFERENCE}|[^/@\s])*+))?(?=@)"
)
_PLACE_AND_QUERY = re.compile(r"([^?#]*)(?:\?([^#]*))?")
_QUERY_VALUE = re.compile(r"(?<=[?&])(?!api-version=)([^=&?]{1,200})=(?!\$\{[^{}]*\}(?:[&#]|$))([^&]+)")
_QUERY_VALUE_INSIDE = re.compile(r"(?<=[?&])(?!api-version=)([^=&#?\s]{1,200})=(?!\$\{[^{}]*\}(?:[&#\s]|$))([^&#\s]+)")
_NAMED = frozenset({"providers", "models", "pools", "apps"})
"""Sections whose second-level keys are names that users choose, which say nothing about the content."""

_SCHEME = re.compile(r"^(?:bearer|basic|token)\s+", re.IGNORECASE)


def is_secret_key(key: str) -> bool:
    """Whether a key of this name holds a secret wherever it occurs."""
    return bool(_SECRET_KEY.search(key))


def is_secret_path(path: Path) -> bool:
    """Whether the value at this path is secret, by its own key or one above it."""
    return any(_marks_secret(path[: end + 1]) for end in range(len(path)))


def may_hold_secret(path: Path) -> bool:
    """The same, and headers: people choose their names."""
    in_headers = len(path) > 1 and path[-2] == "headers" and not is_plain_header(str(path[-1]))
    return in_headers or is_secret_path(path)


def _marks_secret(path: Path) -> bool:
    """Whether the last part of the path is a key that makes everything below it secret."""
    last = path[-1]
    if isinstance(last, int) or len(path) == 1:
        return False
    if len(path) == 2 and path[0] in _NAMED:
        return False
    if path[0] == "secrets":
        return last == "values" or is_secret_key(last)
    return is_secret_key(last) or (last == "key" and path[-2] == "encryption")


def redact_url(url: str) -> str:
    """A URL without credentials and query."""
    parts = address_parts(url)
    if parts is None:
        address, mark, _ = url.partition("?")
        return f"{address}?{MASK}" if mark else url
    scheme, userinfo, rest = parts
    if userinfo and _may_be_query(userinfo):
        return scheme + MASK
    place, query = _PLACE_AND_QUERY.match(rest).groups()  # type: ignore[union-attr]
    return f"{scheme}{f'{MASK}@' if userinfo else ''}{place}{f'?{MASK}' if query else ''}"


def _may_be_query(userinfo: str) -> bool:
    """Whether the `@` may be in a query or fragment: then neither side of it may be shown."""
    return bool(re.search("[?#]", _REFERENCE.sub("", userinfo)))


def mask_secret(value: str) -> str:
    """A mask for a literal secret; a reference is shown as written."""
    scheme = _SCHEME.match(value)
    prefix = scheme[0] if scheme else ""
    rest = value[len(prefix) :]
    if not value or not _REFERENCE.fullmatch(rest):
        return MASK if value else value
    return prefix + _REFERENCE.sub(_masked_default, rest)


def _masked_default(match: re.Match[str]) -> str:
    kind, inner = match[1], match[2]
    name, separator, default = inner.partition(":-")
    return f"${{{kind}:{name}:-{MASK}}}" if separator and default else match[0]


def redact(value: Any, path: Path = (), *, secret: bool = False) -> Any:
    """The same structure with every literal secret masked."""
    secret = secret or (bool(path) and _marks_secret(path))
    if isinstance(value, dict):
        # An entry of `tokens` also names the app that holds the token; the name is not a secret.
        return {
            key: redact(item, (*path, key), secret=secret and key not in ("app", "name")) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item, (*path, index), secret=secret) for index, item in enumerate(value)]
    if isinstance(value, str):
        return mask_secret(value) if secret else _without_credentials(value)
    # A number under "tokens" is a limit (`max_output_tokens`).
    if secret and isinstance(value, int | float) and not isinstance(value, bool) and not _counts_tokens(path):
        return MASK
    return value


def _without_credentials(text: str) -> str:
    """A text of a configuration, with the secret parts of an address masked; a reference is shown as written."""
    if "://" not in text:
        return text
    parts = address_parts(text)
    if parts is None:
        return _QUERY_VALUE_INSIDE.sub(rf"\1={MASK}", _USERINFO_INSIDE.sub(_masked_userinfo, text))
    scheme, userinfo, rest = parts
    if userinfo and _may_be_query(userinfo):
        return scheme + MASK
    shown = f"{_USERINFO.sub(_masked_userinfo, userinfo, count=1)}@" if userinfo else ""
    return scheme + shown + _QUERY_VALUE.sub(rf"\1={MASK}", rest)


def _masked_userinfo(found: re.Match[str]) -> str:
    """A name alone is a token."""
    user, password = found["user"], found["password"]
    return mask_secret(user) if password is None else f"{user}:{mask_secret(password)}"


def _counts_tokens(path: Path) -> bool:
    return bool(path) and str(path[-1]).lower().endswith("tokens")
