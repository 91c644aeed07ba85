"""Reads rate limits and waiting times from response headers, and decides which headers pass through.

Owns: the many spellings of headroom (OpenAI, Azure, Anthropic, Mistral, Cerebras, Together, Cohere, the IETF drafts);
which of a provider's headers an app sees, and which of an app's a provider sees.
Must never: raise; a header that does not parse is ignored.
"""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from meshd.formats.protocol import PassedOn
from meshd.sdk.provider import RateLimits

RawHeaders = Collection[tuple[bytes, bytes]]
IN_JSON: Final = {"content-type": "application/json"}

_FAMILY = re.compile(r"(?:x-|anthropic-)?ratelimit-|(x-)?ratelimitbysize-|x-tokenlimit-|x-trial-endpoint-call-")
_PREFIXES: Final = (b"x-ratelimit", b"ratelimit", b"anthropic-ratelimit-", b"x-tokenlimit-", b"x-trial-endpoint-call-")
LIMITS = tuple(prefix.decode() for prefix in _PREFIXES)
"""Prefixes of the headers that report what is left of a limit."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s|d)")
_UNIT = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_EPOCH_SECONDS = 1_000_000_000.0  # a reset above this is a date, not a duration
_LONGEST_WAIT = 32 * 86400.0
_LONGEST_DATE = 64  # characters

_WHATS = frozenset({"limit", "remaining", "reset"})
_KINDS = {"requests": "requests", "request": "requests", "req": "requests", "tokens": "tokens", "tokenlimit": "tokens"}
_PARTS = frozenset({"input", "output"})  # of the tokens
_WINDOWS = frozenset({"second", "hour", "day", "month"})  # other than the minute, which is also the default

# A structured field's list items with their parameters (draft-ietf-httpapi-ratelimit-headers).
# Whitespace is allowed in only one place, so that no value causes backtracking.
_NAME = r"[a-z*][a-z0-9_.*-]*"
_VALUE = r'"[^"]*"|:[^:,;]*:|[^;,"\s]*'
_ITEM = re.compile(rf'(?:"([^"]*)"|([^\s";,=]+))((?:\s*;\s*{_NAME}(?:=(?:{_VALUE}))?)*)\s*(?:,|$)')
_PARAMETER = re.compile(rf";\s*({_NAME})=({_VALUE})")
_DRAFT_03 = re.compile(r"\b(limit|remaining|reset)=(\d+)")
_SEVERAL = re.compile(r"\d{1,12}(?: ?, ?\d{1,12})+")
_LONGEST_DRAFT = 2000  # characters

_Figures = dict[str, float]  # limit, remaining, reset
_Groups = dict[tuple[str, str], _Figures]  # (requests, tokens, input tokens or output tokens; the window, "": a minute)


def rate_limits(raw: RawHeaders, now: float | None = None) -> RateLimits | None:
    """None if the provider sends no limits, which is the common case and costs one pass."""
    groups: _Groups = {}
    draft: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.lower()
        if not name.startswith(_PREFIXES):
            continue
        text, value = name.decode("latin-1"), raw_value.decode("latin-1")
        if text in ("ratelimit", "ratelimit-policy"):
            draft[text] = f"{draft[text]},{value}" if text in draft else value
        else:
            _read_figure(text, value, groups, raw, now)
    if draft:
        _read_draft(draft.get("ratelimit", ""), draft.get("ratelimit-policy", ""), groups)
    if not groups:
        return None
    requests, tokens = _governing(groups, "requests"), _governing(groups, "tokens")
    return RateLimits(*_fields(requests), *_fields(tokens)) if requests or tokens else None


def retry_after(raw: RawHeaders, now: float | None = None) -> float | None:
    """Seconds from `retry-after-ms`, or `Retry-After` in seconds or as a date; never negative."""
    wait: float | None = None
    for raw_name, raw_value in raw:
        name = raw_name.lower()
        if name in (b"retry-after-ms", b"x-ms-retry-after-ms"):
            milliseconds = _number(raw_value.decode("latin-1"))
            if milliseconds is not None:
                return min(max(milliseconds / 1000.0, 0.0), _LONGEST_WAIT)
        elif name == b"retry-after":
            wait = _wait(raw_value.decode("latin-1").strip(), raw, now)
    return wait


def used_up_for(raw: RawHeaders, now: float | None = None) -> float | None:
    """Seconds until the used-up limits reset, by their headers; if these do not say which are used up, until the first
    resets."""
    limits = rate_limits(raw, now)
    if limits is None:
        return None
    told = ((limits.remaining_requests, limits.reset_requests), (limits.remaining_tokens, limits.reset_tokens))
    used_up = [reset for left, reset in told if left == 0 and reset]
    if used_up:
        return max(used_up)
    return min((reset for left, reset in told if left is None and reset), default=None)


def _read_figure(name: str, value: str, groups: _Groups, raw: RawHeaders, now: float | None) -> None:
    """One header, one figure: `x-ratelimit-remaining-tokens-minute`, `anthropic-ratelimit-input-tokens-limit`, …"""
    family = _FAMILY.match(name)
    if family is None:
        return
    # Mistral's limit by size counts tokens; without a unit, a limit counts requests.
    what, part, window = "", "", ""
    kind = "tokens" if "size" in family[0] or "token" in family[0] else "requests"
    for word in name[family.end() :].split("-"):
        if word in _WHATS and not what:
            what = word
        elif word in _KINDS:
            kind = _KINDS[word]
        elif word in _PARTS:
            part = word + " "
        elif word in _WINDOWS:
            window = word
        elif word != "minute":
            return  # the limit of something else
    if not what:
        return
    if _SEVERAL.fullmatch(value[:_LONGEST_DRAFT]):  # Brave's: the same figure of several windows
        for place, of_window in enumerate(value.split(",")):
            groups.setdefault((part + kind, f"{window}{place}"), {})[what] = float(of_window)
        return
    # In older drafts a list of policies may follow the figure: `100, 100;w=60`.
    number = _wait(value.strip(), raw, now) if what == "reset" else _number(value.split(",")[0].split(";")[0])
    if number is not None and number >= 0:  # Azure sends -1 for unknown
        groups.setdefault((part + kind, window), {})[what] = number


def _read_draft(limits: str, policies: str, groups: _Groups) -> None:
    """`RateLimit: "default";r=50;t=30` with `RateLimit-Policy: "default";q=100;w=60`, as of the current draft; the
    third had `RateLimit: limit=100, remaining=50, reset=5`. Among several of one kind, the one with the least left."""
    known = dict(_items(policies))
    kinds = {name: _KINDS.get(policy.get("qu", "requests"), "") for name, policy in known.items()}
    for name, policy in known.items():
        _put(groups, kinds[name], {"limit": policy.get("q")})
    least: dict[str, float] = {}
    for name, item in _items(limits):
        kind, left = kinds.get(name, "requests"), _number(item.get("r", ""))
        if left is not None and 0 <= left < least.get(kind, math.inf):
            least[kind] = left
            _put(groups, kind, {"remaining": left, "limit": known.get(name, {}).get("q"), "reset": item.get("t")})
    if not least:
        _put(groups, "requests", dict(_DRAFT_03.findall(limits[:_LONGEST_DRAFT])))


def _items(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for quoted, token, parameters in _ITEM.findall(text[:_LONGEST_DRAFT]):
        yield quoted or token, {name: value.strip('"') for name, value in _PARAMETER.findall(parameters)}


def _put(groups: _Groups, kind: str, figures: Mapping[str, str | float | None]) -> None:
    """Store a figure, replacing an earlier one. kind "": a unit that is not counted here."""
    read = {what: number for what, value in figures.items() if (number := _number(str(value))) is not None}
    if read and kind:
        if "reset" in read:
            read["reset"] = min(read["reset"], _LONGEST_WAIT)
        groups[kind, ""] = read


def _governing(groups: _Groups, kind: str) -> _Figures:
    """The limit that applies: a used-up one of any window, the last of these to reset; else the minute's, the total
    before the tighter of input and output. What is left of a daily or monthly limit is not headroom of the minute."""
    mine = {group: figures for group, figures in groups.items() if group[0].endswith(kind)}
    for figures in mine.values():
        if figures.get("limit") == 0:  # Mistral, for a model outside the plan
            figures.setdefault("remaining", 0.0)
    used_up = [figures for figures in mine.values() if figures.get("remaining") == 0]
    if used_up:
        return max(used_up, key=lambda figures: figures.get("reset", 0.0))
    if (kind, "") in mine:
        return mine[kind, ""]
    parts = [figures for (_, window), figures in mine.items() if not window]
    return min(parts, key=_fraction_left, default={})


def _fraction_left(figures: _Figures) -> float:
    limit, left = figures.get("limit"), figures.get("remaining")
    return 1.0 if left is None or not limit else left / limit


def _fields(figures: _Figures) -> tuple[int | None, int | None, float | None]:
    limit, remaining, reset = figures.get("limit"), figures.get("remaining"), figures.get("reset")
    return (
        None if limit is None else int(limit),
        None if remaining is None else int(remaining),
        None if reset is None else float(reset),
    )


def _number(text: str) -> float | None:
    try:
        number = float(text.strip())
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None  # false for NaN and infinity as well


def _wait(text: str, raw: RawHeaders, now: float | None) -> float | None:
    """Seconds from now, from `1.5`, `6m0s`, `12ms`, an epoch (seconds or milliseconds) or a date."""
    text = text[:_LONGEST_DATE]
    number = _number(text)
    if number is not None:
        if number > _EPOCH_SECONDS * 1000:
            number /= 1000
        if number > _EPOCH_SECONDS:
            return _until(number, raw, now)
        return min(max(number, 0.0), _LONGEST_WAIT)
    parts = _DURATION.findall(text)
    if parts and "".join(amount + unit for amount, unit in parts) == text:
        return min(sum(float(amount) * _UNIT[unit] for amount, unit in parts), _LONGEST_WAIT)
    moment = _moment(text)
    return None if moment is None else _until(moment, raw, now)


def _until(moment: float, raw: RawHeaders, now: float | None) -> float | None:
    """Seconds by the provider's own `Date`, because our clock may be years off; without one, by our clock. None if both
    give an implausible time."""
    clocks = (_date(raw), time.time()) if now is None else (_date(raw), now)
    waits = [moment - clock for clock in clocks if clock is not None]
    return next((max(wait, 0.0) for wait in waits if abs(wait) <= _LONGEST_WAIT), None)


def _date(raw: RawHeaders) -> float | None:
    text = next((value for name, value in raw if name.lower() == b"date"), None)
    return None if text is None else _moment(text.decode("latin-1").strip()[:_LONGEST_DATE])


def _http_date(text: str) -> datetime:
    from email.utils import parsedate_to_datetime  # half a megabyte with its imports: only for dates

    return parsedate_to_datetime(text)


def _moment(text: str) -> float | None:
    for parse in (datetime.fromisoformat, _http_date):
        try:
            moment = parse(text)
            # A time without a zone is UTC, as in HTTP's dates, not in this machine's zone.
            return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


# -- what an app may see ------------------------------------------------------------------------------

_WITHHELD: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade "
    b"content-length content-encoding content-type set-cookie authorization www-authenticate location "
    b"openai-organization openai-project date server via alt-svc nel report-to vary strict-transport-security "
    b"x-content-type-options x-frame-options content-security-policy referrer-policy".split()
)
"""Headers about the connection, the account or browsers, which are not passed to the app."""
_MOST_HEADERS: Final = 64
_LONGEST_NAME: Final = 200  # bytes; longer names are not passed on
_MOST_BYTES: Final = 8192
_LONGEST_QUERY: Final = 2000  # characters


def kept_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """A provider's headers for the app: its request id, what is left of its limits, its times."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in raw:
        shown = _shown_as(name) if len(name) <= _LONGEST_NAME else ""
        if not shown:
            continue
        size += len(name) + len(value)
        if size > _MOST_BYTES or len(kept) >= _MOST_HEADERS:
            break
        if value.isascii():
            kept[shown] = value.decode("ascii")
    return kept


@functools.lru_cache(maxsize=1024)  # the names of nearly all answers are the same few
def _shown_as(name: bytes) -> str:
    """ "" if the app does not see it."""
    name = name.lower()
    withheld = name in _WITHHELD or name.startswith((b"x-mesh-", b"access-control-"))
    return "" if withheld else name.decode("latin-1")


# -- what a provider of the same format may see -------------------------------------------------------

_NOTHING: Final = PassedOn()


def passed_on(
    headers: Mapping[str, str], query: str, *, names: tuple[str, ...] = (), fields: tuple[str, ...] = ()
) -> PassedOn:
    """The part of an app's request that is forwarded besides its body. headers: by name in lower case. names: those of
    headers to forward; one that ends in `*` covers all that begin with it. fields: those of the query. Nothing else is
    forwarded: other headers concern the app, its connection or its rights here."""
    whole, begin = _whole_and_begin(names)
    kept: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if (name in whole or name.startswith(begin)) and _is_plain(name) and _is_plain(value):
            size += len(name) + len(value)
            if size > _MOST_BYTES or len(kept) >= _MOST_HEADERS:
                break
            kept[name] = value
    told = {name: value for name, value in parse_qsl(query[:_LONGEST_QUERY]) if name in fields} if query else {}
    return PassedOn(kept, told) if kept or told else _NOTHING


@functools.cache
def _whole_and_begin(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    begin = tuple(name[:-1] for name in names if name.endswith("*"))
    return frozenset(name for name in names if not name.endswith("*")), begin


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
