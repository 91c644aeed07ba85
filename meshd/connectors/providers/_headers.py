"""Rate limits and waiting times out of response headers.

Owns: the many spellings of headroom (OpenAI, Azure, Anthropic, Mistral, Together, the IETF drafts).
Must never: raise; a header that does not parse is as good as none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import datetime
from email.utils import parsedate_to_datetime

from meshd.cdk.provider import RateLimits

RawHeaders = Iterable[tuple[bytes, bytes]]

_PREFIXES = (b"x-ratelimit-", b"ratelimit", b"anthropic-ratelimit-", b"retry-after", b"x-tokenlimit-")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s|d)")
_UNIT = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DRAFT_ITEM = re.compile(r";\s*([qrtw])=(\d+)")
_EPOCH_SECONDS = 1_000_000_000.0  # a reset above this is a date, not a wait
_LONGEST_WAIT = 32 * 86400.0

# normalised name → field of RateLimits. What is limited per day or per month is not headroom of the minute
# and is left out; `x-ratelimit-limit` alone means requests.
_FIELDS = {
    f"{what}-{unit}": f"{what}_{unit}" for what in ("limit", "remaining", "reset") for unit in ("requests", "tokens")
} | {
    "limit": "limit_requests",
    "remaining": "remaining_requests",
    "reset": "reset_requests",
    "limit-req-minute": "limit_requests",
    "remaining-req-minute": "remaining_requests",
    "limit-tokens-minute": "limit_tokens",
    "remaining-tokens-minute": "remaining_tokens",
    "requests-limit": "limit_requests",
    "requests-remaining": "remaining_requests",
    "requests-reset": "reset_requests",
    "tokens-limit": "limit_tokens",
    "tokens-remaining": "remaining_tokens",
    "tokens-reset": "reset_tokens",
    "limit-tokenlimit": "limit_tokens",
    "remaining-tokenlimit": "remaining_tokens",
    "reset-tokenlimit": "reset_tokens",
}


def rate_limits(raw: RawHeaders, now: float | None = None) -> RateLimits | None:
    """None where the provider says nothing, which is the common case and costs one pass."""
    found: dict[str, int | float] = {}
    for raw_name, raw_value in raw:
        name = raw_name.lower()
        if name.startswith(_PREFIXES) and not name.startswith(b"retry"):
            _read_limit(name.decode("latin-1"), raw_value.decode("latin-1"), found, now)
    return RateLimits(**found) if found else None  # type: ignore[arg-type]


def retry_after(raw: RawHeaders, now: float | None = None) -> float | None:
    """Seconds from `retry-after-ms`, or `Retry-After` in seconds or as a date; never negative."""
    wait: float | None = None
    for raw_name, raw_value in raw:
        name = raw_name.lower()
        if name == b"retry-after-ms":
            milliseconds = _number(raw_value.decode("latin-1"))
            if milliseconds is not None:
                return min(max(milliseconds / 1000.0, 0.0), _LONGEST_WAIT)
        elif name == b"retry-after":
            wait = _wait(raw_value.decode("latin-1").strip(), now)
    return wait


def _read_limit(name: str, value: str, found: dict[str, int | float], now: float | None) -> None:
    if name in ("ratelimit", "ratelimit-policy"):
        _read_draft(name, value, found)
        return
    if name.startswith("x-tokenlimit-"):
        field = _FIELDS.get(name.removeprefix("x-tokenlimit-") + "-tokenlimit")
    else:
        field = _FIELDS.get(re.sub(r"^(x-|anthropic-)?ratelimit-", "", name))
    if field is None:
        return
    if field.startswith("reset"):
        seconds = _wait(value.strip(), now)
        if seconds is not None:
            found[field] = seconds
        return
    number = _number(value.split(",")[0].split(";")[0])
    if number is not None and number >= 0:  # Azure says -1 where it does not know
        found[field] = int(number)


def _read_draft(name: str, value: str, found: dict[str, int | float]) -> None:
    """draft-ietf-httpapi-ratelimit-headers: `"default";r=50;t=30`, and the older `limit=100, remaining=50`."""
    items = dict(_DRAFT_ITEM.findall(value.split(",")[0]))
    if name == "ratelimit-policy":
        if "q" in items:
            found["limit_requests"] = int(items["q"])
        return
    if "r" in items:
        found["remaining_requests"] = int(items["r"])
        if "t" in items:
            found["reset_requests"] = float(items["t"])
        return
    for part in value.split(","):
        key, _, text = part.strip().partition("=")
        number = _number(text)
        if key in ("limit", "remaining", "reset") and number is not None and number >= 0:
            found[f"{key}_requests"] = float(number) if key == "reset" else int(number)


def _number(text: str) -> float | None:
    try:
        number = float(text.strip())
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None  # NaN and infinity fail this too


def _wait(text: str, now: float | None) -> float | None:
    """Seconds from now, out of `1.5`, `6m0s`, `12ms`, an epoch (seconds or milliseconds) or a date."""
    number = _number(text)
    if number is not None:
        if number > _EPOCH_SECONDS * 1000:
            number /= 1000
        if number > _EPOCH_SECONDS:
            number -= time.time() if now is None else now
        return min(max(number, 0.0), _LONGEST_WAIT)
    parts = _DURATION.findall(text)
    if parts and "".join(amount + unit for amount, unit in parts) == text:
        return min(sum(float(amount) * _UNIT[unit] for amount, unit in parts), _LONGEST_WAIT)
    moment = _moment(text)
    if moment is None:
        return None
    return min(max(moment - (time.time() if now is None else now), 0.0), _LONGEST_WAIT)


def _moment(text: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(text).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
