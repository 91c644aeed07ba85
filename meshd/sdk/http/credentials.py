"""Masks a provider's secrets in its errors, since some errors repeat the whole key.

Owns: the spellings in which a secret may come back (percent, JSON, HTML, base64, hex, any case, cut off at an end), and
the masking of a failure.
Must never: touch an answer's content. An app may have sent the same text, and must get it back.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from meshd.sdk.calls.failure import ProviderFailure
from meshd.sdk.http.addresses import address_parts, is_plain_header
from meshd.sdk.reading.lenient import UNREADABLE
from meshd.sdk.settings import ProviderSettings

MASK = "•••"
SHORTEST = 4
"""A value shorter than this protects nothing, and masking it would mask half of every text."""
_WHOLE_WORDS = 8  # bytes: a shorter one is masked only as a whole word
_BLOCK = 8
_SHORTEST_PART = 12  # bytes: a provider's own masking leaves less of a key (`sk-proj-`)
_MOST_READ = 32 * 1024  # bytes of an error body: a longer one is dropped once its message has been read
_MOST_KNOWN = 128
_DEEPEST = 3  # escapes inside escapes
_PLACEHOLDERS = frozenset({"none", "null", "empty", "dummy", "test", "ollama", "lm-studio", "not-needed", "no-key",
                           "bearer", "basic", "token", "true", "false"})  # fmt: skip
_SECRET_NAME = re.compile(r"(?i)key|token|auth|secret|passw|passphrase|cookie|credential|signature|session|jwt|bearer")
_SECRETS_OF_AUTH = ("client_secret", "refresh_token", "credentials")
_LONG = re.compile(r"[A-Za-z0-9_+=.~-]{16,}")
_NO_SECRET = re.compile(r"[\d.\-]{0,12}(?:-?preview)?|v\d[\w.]{0,6}", re.I)  # an API's version
_ESCAPE = re.compile(
    rb"%([0-9a-fA-F]{2})"
    rb"|\\+u00([0-9a-fA-F]{2})|\\+x([0-9a-fA-F]{2})"
    rb"|&#0{0,4}(\d{2,3});|&#[xX]0{0,4}([0-9a-fA-F]{2});|&(amp|lt|gt|quot|apos);"
    rb"|\\+([/\"'\\])|([\x00-\x1f\x7f])"
)
_NAMED = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_MASK = MASK.encode()


class Credentials:
    """The secrets of one provider. Replaced ones stay known, because an answer may arrive late."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: dict[str, None] = {}
        self._blocks: dict[bytes, list[tuple[bytes, int]]] = {}
        self._known: re.Pattern[bytes] | None = None
        self._spelled: tuple[str, ...] = ()
        self._shortest = 0
        self.learn(secrets)

    def __repr__(self) -> str:
        return f"Credentials({len(self._secrets)})"

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self._secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        for secret in map(str.strip, secrets):
            if len(secret) >= SHORTEST and secret.lower() not in _PLACEHOLDERS:
                if secret not in self._secrets:
                    self._known = None
                self._secrets.pop(secret, None)
                self._secrets[secret] = None  # moved to the end: the least recently used one is forgotten first
        while len(self._secrets) > _MOST_KNOWN:
            del self._secrets[next(iter(self._secrets))]

    def clean(self, failure: ProviderFailure) -> ProviderFailure:
        """The same failure, without secrets in its message and body."""
        if failure.cleaned:
            return failure
        failure.cleaned = True
        message = self.text(failure.message)
        if message != failure.message:
            failure.message = message
            failure.args = (message, *failure.args[1:])
        if failure.body:
            failure.body = self._body(failure.body)
        return failure

    def text(self, text: str) -> str:
        """The text of an error, or any other about a provider, without secrets."""
        return without_keys(self._masked(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass"))

    def value(self, value: Any) -> Any:
        """The same for a structure of maps, lists and texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def kept(self, headers: dict[str, str]) -> dict[str, str]:
        """Headers for the app, without those that repeat a secret."""
        if not self._secrets or not headers:
            return headers
        if self._known is None:
            self._prepare()
        long = [value for value in headers.values() if len(value) >= self._shortest]
        if not long:
            return headers
        said = "\n".join(long).lower()  # runs for every answer, so only one search for each spelling
        if (
            "%" not in said
            and "\\" not in said
            and "&#" not in said
            and not any(form in said for form in self._spelled)
        ):
            return headers
        return {name: value for name, value in headers.items() if self._masked(value.encode()) == value.encode()}

    # -- inside ---------------------------------------------------------------------------------------

    def _body(self, body: bytes) -> bytes:
        """Unchanged if it holds no secret. JSON stays JSON."""
        if len(body) > _MOST_READ:
            return b""
        said = body.decode(errors="surrogateescape")
        if "\\" not in said and self.text(said) == said:  # the usual case
            return body
        try:
            document = msgspec.json.decode(body)
            if isinstance(document, dict | list):
                cleaned = self.value(document)
                return body if cleaned == document else msgspec.json.encode(cleaned)
        except RecursionError:
            return b""
        except UNREADABLE:
            pass
        return self.text(said).encode(errors="surrogateescape")

    def _masked(self, raw: bytes) -> bytes:
        if not self._secrets:
            return raw
        if self._known is None:
            self._prepare()
        view, places = raw, None
        spans: list[tuple[int, int]] = []
        for _ in range(_DEEPEST):
            for start, end in self._found(view.lower()):
                spans.append((start, end) if places is None else (places[start], places[end]))
            if _ESCAPE.search(view) is None:
                break
            view, places = _unescaped(view, places)
        return _with_masks(raw, spans)

    def _prepare(self) -> None:
        self._blocks = {}
        forms = {form for secret in self._secrets for form in _forms(secret)}
        self._spelled = tuple(form.decode(errors="replace") for form in forms)
        self._shortest = min(map(len, forms), default=0)
        for form in forms:
            last = max(len(form) - _BLOCK, 0)
            for start in {*range(0, last, _BLOCK), last}:
                self._blocks.setdefault(form[start : start + _BLOCK], []).append((form, start))
        longest_first = sorted(self._blocks, key=len, reverse=True)
        self._known = re.compile(b"|".join(map(re.escape, longest_first)))

    def _found(self, view: bytes) -> Iterator[tuple[int, int]]:
        """Positions of secrets, and of parts that are long enough to be useful to an attacker."""
        assert self._known is not None
        if not any(block in view for block in self._blocks):
            return
        position = 0
        while (match := self._known.search(view, position)) is not None:
            # If a secret ends in a shorter one, only a part of it may be found, but all of the shorter one.
            spans = (_extended(view, match.start(), *place) for place in self._blocks[match[0]])
            counting = [(start, end) for start, end, form in spans if _counts(view, start, end, form)]
            position = match.start() + 1
            if counting:
                start, end = max(counting, key=lambda span: span[1] - span[0])
                yield start, end
                position = max(position, end)


def secrets_of(settings: ProviderSettings) -> set[str]:
    """Every secret in a connector's settings."""
    found = {settings.api_key or "", *settings.api_keys.values(), *_beside_the_key(settings)}
    for secret in settings.secrets:
        found |= credentials_of_address(secret, path=True) if "://" in secret else {secret}
    found |= {str(settings.auth.get(name) or "") for name in _SECRETS_OF_AUTH}
    found |= credentials_of_address(str(settings.auth.get("token_url") or ""))
    for name, option in settings.options.items():
        if isinstance(option, str) and _SECRET_NAME.search(str(name)):
            found.add(option)
        elif isinstance(option, str) and "://" in option:
            found |= credentials_of_address(option)
    return {each for each in found if each}


def is_keyed(settings: ProviderSettings) -> bool:
    """Whether requests to the provider carry a credential: a key, one made for it, or one in a header or the
    address."""
    if settings.auth_method in (None, "api_key", "bearer"):
        if settings.api_key or settings.api_keys:
            return True
    elif settings.auth_method != "none":
        return True
    return any(_beside_the_key(settings))


def _beside_the_key(settings: ProviderSettings) -> set[str]:
    """Secrets in its headers and its address."""
    found: set[str] = set()
    for name, value in settings.headers.items():
        if _SECRET_NAME.search(name) or (_looks_random(value) and not is_plain_header(name)):
            found |= {value, *value.split()}
    if settings.base_url and "://" in settings.base_url:
        found |= credentials_of_address(settings.base_url)
    return found


def _looks_random(text: str) -> bool:
    """Whether one of its words is long and has both letters and digits."""
    return any(_LONG.search(word) and re.search("[0-9]", word) and re.search("[A-Za-z]", word) for word in text.split())


def credentials_of_address(url: str, path: bool = False) -> set[str]:
    """Its password or token, and the values of its query. path: whether the address is secret; then long parts of its
    path are, too."""
    scheme, userinfo, rest = address_parts(url) or ("", None, url)
    # Both up to the last `@`, as people write passwords, and as a URL is parsed.
    found = _of_userinfo(userinfo or "")
    for address in {url, f"{scheme}{rest}"}:
        try:
            parts = urlsplit(address)
            query = parse_qsl(parts.query)
        except ValueError:
            continue
        found |= _of_userinfo(parts.netloc.rpartition("@")[0])
        found |= {each for each in parts.path.split("/") if path and _LONG.fullmatch(each) and _looks_random(each)}
        found |= {value for _, value in query if len(value) >= _WHOLE_WORDS and not _NO_SECRET.fullmatch(value)}
    return found


def _of_userinfo(userinfo: str) -> set[str]:
    user, colon, password = userinfo.partition(":")
    found = {password, unquote(password)} if colon else {user, unquote(user)}
    if user and password:
        found |= {userinfo, f"{unquote(user)}:{unquote(password)}"}
    return {each for each in found if each}


# -- spellings ----------------------------------------------------------------------------------------


def _forms(secret: str) -> set[bytes]:
    """The spellings of a secret, in lower case."""
    raw = secret.encode("utf-8", "surrogatepass")
    # Text is unescaped to a certain depth, so the secret is too, in case it contains what looks like an escape.
    forms = {raw, raw.hex().encode(), *(form for form in _read_deep(raw) if len(form) >= SHORTEST)}
    if len(raw) >= _WHOLE_WORDS:
        for before in range(3):  # at any offset in the encoded text
            encoded = base64.b64encode(b"\0" * before + raw)
            core = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
            forms |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form.lower() for form in forms}


def _read_deep(raw: bytes) -> Iterator[bytes]:
    for _ in range(_DEEPEST):
        raw, _places = _unescaped(raw, None)
        yield raw


def _unescaped(view: bytes, places: list[int] | None) -> tuple[bytes, list[int]]:
    """The text without one layer of escapes, and the original position of each of its bytes and of its end."""
    parts: list[bytes] = []
    found: list[int] = []
    position = 0
    for match in _ESCAPE.finditer(view):
        parts.append(view[position : match.start()])
        found += range(position, match.start())
        plain = _plain(match)
        parts.append(plain)
        found += [match.start()] * len(plain)
        position = match.end()
    parts.append(view[position:])
    found += range(position, len(view) + 1)
    if places is not None:
        found = [places[each] for each in found]
    return b"".join(parts), found


def _plain(match: re.Match[bytes]) -> bytes:
    percent, unicode, byte, decimal, hexadecimal, named, itself, _control = match.groups()
    if decimal:
        return bytes([int(decimal)]) if int(decimal) < 256 else b"?"
    code = percent or unicode or byte or hexadecimal
    if code:
        return bytes([int(code, 16)])
    return _NAMED[named] if named else itself or b""


def _extended(view: bytes, at: int, form: bytes, offset: int) -> tuple[int, int, bytes]:
    """How far the spelling extends around a block of it."""
    start, before = at, offset
    while start and before and view[start - 1] == form[before - 1]:
        start, before = start - 1, before - 1
    end, after = at, offset
    while end < len(view) and after < len(form) and view[end] == form[after]:
        end, after = end + 1, after + 1
    return start, end, form


def _counts(view: bytes, start: int, end: int, form: bytes) -> bool:
    if end - start < len(form):
        return end - start >= _SHORTEST_PART
    if len(form) >= _WHOLE_WORDS:
        return True
    return not (view[max(start - 1, 0) : start].isalnum() or view[end : end + 1].isalnum())


def _with_masks(raw: bytes, spans: list[tuple[int, int]]) -> bytes:
    if not spans:
        return raw
    parts: list[bytes] = []
    position = 0
    for start, end in sorted(spans):
        if end <= position:
            continue
        if start > position or not parts:
            parts += [raw[position : max(start, position)], _MASK]
        position = end
    return b"".join([*parts, raw[position:]])


# -- what looks like a secret -------------------------------------------------------------------------

_PATTERNS = (
    r"(?:sk|pk|rk|gsk|xai|tgp|pplx|csk|nvapi|fw|r8|key|jina|tvly|fc|ghp|gho|github_pat|glpat|hf|xox[abprs])"
    r"[-_][A-Za-z0-9_\-]{12,}"
    r"|AIza[A-Za-z0-9_\-]{30,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
)
_KEYS = re.compile(rf"(?<![A-Za-z0-9])(?:{_PATTERNS})")
# A JSON web token. Only the first `eyJ` of a run of its letters is tried: a search from each would take quadratic time.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_\-])((?>(?:[A-Za-z0-9_\-]*?[_\-])??(?=eyJ)))"
    r"eyJ[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]*"
)
# "Missing bearer or basic authentication" is not one, nor are "bearer tokens".
_BEARER = re.compile(
    r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)"
    r"|\b(?:bearer|basic)(?!\s+(?:auth\w*|tokens?|headers?|credentials?|schemes?|format|prefix|required|missing|invalid"
    r"|expired|access|security|strings?|values?|support\w*)\b[^\w.]))\s+[A-Za-z0-9._~+/=\-]{6,}"
)
_FIELD = re.compile(
    r"(?i)([\"']?\b(?:x-)?(?:api[-_]?key|access[-_]?token|auth[-_]?token|secret|password|passwd|authorization)\b[\"']?"
    r"\s*[:=]\s*[\"']?)(?!(?:bearer|basic)\b|\$\{)(?=[^\s\"'&,;}]*[0-9]|[^\s\"'&,;}]{16})[^\s\"'&,;}]{6,}"
)
_ADDRESS = re.compile(r"://[^\s\"'<>]*")
_PASSWORD = re.compile(r"://[^/\s:@?#]+:(?!\d{1,5}[/?#])")


def without_keys(text: str) -> str:
    """The text without anything that looks like a key, a token or a password."""
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _KEYS.sub(MASK, text)
    if "eyJ" in text:
        text = _JWT.sub(rf"\1{MASK}", text)
    text = _FIELD.sub(rf"\1{MASK}", text)
    return _ADDRESS.sub(_without_password, text) if "://" in text else text


def _without_password(found: re.Match[str]) -> str:
    """A password ends at the last `@` of the address, whatever it contains. What may be a port is not a password."""
    before, at, host = found[0].rpartition("@")
    begun = _PASSWORD.search(before) if at else None
    if begun is None or begun.end() == len(before):
        return found[0]
    return f"{before[: begun.end()]}{MASK}@{host}"
