"""Classifies a provider's failures in routing's terms.

Owns: the classification of HTTP errors, error bodies and error events.
Must never: put a key into a message; decide what happens next (`meshd/routing/attempts/retry.py` does).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec

from meshd.formats.errors import error_answers
from meshd.formats.errors.error_words import ErrorWords, document_of, read_error, words_of
from meshd.formats.errors.refusals import MOST_TEXT, refusals
from meshd.formats.errors.wrong_address import no_answer, not_there, wants_tls
from meshd.formats.headers import RawHeaders, rate_limits, retry_after, used_up_for
from meshd.host.plain_text import printable
from meshd.sdk.provider import FailureKind, ProviderFailure, Usage
from meshd.sdk.reading.lenient import UNREADABLE

_BY_CODE = {
    "unsupported_country_region_territory": FailureKind.PERMISSION,
    "permission_error": FailureKind.PERMISSION,
    "overloaded_error": FailureKind.SERVER,
    "server_error": FailureKind.SERVER,
    "api_error": FailureKind.SERVER,
    "internal_server_error": FailureKind.SERVER,
}
# What a status means if the text says nothing. All other 4xx are the app's own mistake.
_BY_STATUS = {
    401: FailureKind.AUTHENTICATION,
    402: FailureKind.QUOTA,
    403: FailureKind.PERMISSION,
    407: FailureKind.CONNECTION,
    408: FailureKind.TIMEOUT,
    409: FailureKind.SERVER,
    413: FailureKind.CONTEXT_LENGTH,
    420: FailureKind.RATE_LIMIT,
    421: FailureKind.SERVER,
    423: FailureKind.SERVER,
    424: FailureKind.SERVER,
    425: FailureKind.SERVER,
    429: FailureKind.RATE_LIMIT,
    444: FailureKind.SERVER,
    451: FailureKind.PERMISSION,
    460: FailureKind.SERVER,
    498: FailureKind.SERVER,
    499: FailureKind.SERVER,
    501: FailureKind.UNSUPPORTED,
    505: FailureKind.UNSUPPORTED,
}
# This server lacks the route, the method or the format; another may have it.
_NOT_HERE = frozenset({404, 405, 406, 410, 411, 412, 414, 415, 416, 417, 426, 428, 431, 494, 495, 496, 497})
_LONG = 600.0  # s: a longer wait is not a per-minute rate limit
_PER_DAY = re.compile(r"(per|by|/) ?-?(day|month|24 ?h|86400)|daily|monthly|\b[tr]pd\b", re.I)
_RESETS = re.compile(r"quota.{0,20}\breset", re.I)
_PER_MINUTE = re.compile(r"(per|by|/).?(min|sec)", re.I)


class _Metadata(msgspec.Struct, frozen=True):
    headers: dict[str, str] = {}


class _ErrorWithMetadata(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _WithHeaders(msgspec.Struct, frozen=True):
    error: _ErrorWithMetadata = _ErrorWithMetadata()


def kind_by_code(words: ErrorWords) -> FailureKind | None:
    """The kind of failure by its codes, the innermost first."""
    for code in (words.code, words.type, *words.codes):
        kind = refusals().by_code((code,)) or _BY_CODE.get(code)
        if kind is not None:
            return kind
    return None


_REFUSES = frozenset({400, 403, 404, 405, 406, 410, 415, 422, 500, 501})
"""Statuses that servers send for a feature that a model lacks."""
_SAYS_MORE = (FailureKind.CONTENT_POLICY, FailureKind.AUTHENTICATION, FailureKind.CONTEXT_LENGTH)
_PASSING = re.compile(r"temporar|unavailable|overload|try again|retry|busy|capacity|timed? ?out|crash", re.I)
_MAY_NAME_A_FEATURE = (None, FailureKind.UNSUPPORTED, FailureKind.SERVER, FailureKind.PERMISSION)


def refused_features(status: int, words: ErrorWords) -> tuple[str, ...]:
    """Features that the message says the model lacks; none if it also says that a prompt is not allowed or too long, or
    that a server cannot do it now."""
    if words.flagged or (status >= 500 and _PASSING.search(words.message)):
        return ()
    if refusals().by_words(words.message, *_SAYS_MORE) is not None:
        return ()
    return refusals().features(words.message, (words.code, words.type, *words.codes))


def _of_reasoning(words: ErrorWords) -> bool:
    return refusals().of_reasoning(words.message, (words.code, words.type, *words.codes))


def kind_of_error(status: int, words: ErrorWords, waits: float | None = None) -> FailureKind:
    """The kind of an error status. For an ambiguous status the body's codes win over its times, and these over its
    words. waits: seconds of pause that the provider asked for."""
    if not status >= 400:
        return FailureKind.BAD_ANSWER
    by_code = kind_by_code(words)
    if by_code in _MAY_NAME_A_FEATURE and status in _REFUSES and refused_features(status, words):
        return FailureKind.UNSUPPORTED
    if status in (402, 429):
        return _kind_used_up(status, by_code, words, waits)
    if status in (401, 403, 451):
        return _kind_forbidden(status, by_code, words, waits)
    if status >= 500:
        return _kind_of_server_error(status, by_code, words)
    return _kind_of_request_error(status, by_code, words)


def _kind_used_up(status: int, by_code: FailureKind | None, words: ErrorWords, waits: float | None) -> FailureKind:
    """The kind of a used-up limit: RATE_LIMIT if it passes soon, QUOTA if it takes a reset or a payment, CONTEXT_LENGTH
    if waiting never helps."""
    if refusals().never_fits(words.message):
        return FailureKind.CONTEXT_LENGTH
    if words.quotas:
        if any(_PER_DAY.search(quota) for quota in words.quotas):
            return FailureKind.QUOTA
        if any(_PER_MINUTE.search(quota) for quota in words.quotas):
            return FailureKind.RATE_LIMIT
    if status == 429 and refusals().says(FailureKind.RATE_LIMIT, words.message):
        return FailureKind.RATE_LIMIT  # even if its code is that of a quota
    if by_code in (FailureKind.QUOTA, FailureKind.MODEL_NOT_FOUND):
        return by_code
    passes = waits is not None and waits <= _LONG
    if status == 429 and not passes and _PER_DAY.search(words.message) and not _PER_MINUTE.search(words.message):
        return FailureKind.QUOTA
    if waits is not None and not passes and _RESETS.search(words.message):
        return FailureKind.QUOTA
    if by_code is FailureKind.RATE_LIMIT:
        return by_code
    if status == 402:  # OpenRouter has a budget for requests in flight, which frees up in a moment
        return FailureKind.RATE_LIMIT if passes else FailureKind.QUOTA
    if words.flagged or by_code is FailureKind.CONTENT_POLICY:
        return FailureKind.CONTENT_POLICY
    if passes:
        return FailureKind.RATE_LIMIT
    if _PER_MINUTE.search(words.message) and not _PER_DAY.search(words.message):
        return FailureKind.RATE_LIMIT
    return refusals().by_words(words.message, FailureKind.QUOTA) or FailureKind.RATE_LIMIT


_OF_A_KEY = (FailureKind.AUTHENTICATION, FailureKind.QUOTA)
_SAID_WITH_403 = (
    FailureKind.PERMISSION,  # first, because an account may also be closed for a policy
    FailureKind.CONTENT_POLICY,
    FailureKind.QUOTA,
    FailureKind.CONTEXT_LENGTH,  # Together
)


def _kind_forbidden(status: int, by_code: FailureKind | None, words: ErrorWords, waits: float | None) -> FailureKind:
    """401, 403 and 451 may be about a key, one model, one prompt, or an account."""
    if by_code is FailureKind.CONTENT_POLICY or (words.flagged and by_code not in _OF_A_KEY):
        return FailureKind.CONTENT_POLICY
    if by_code in (FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA, FailureKind.RATE_LIMIT):
        return by_code
    sure = by_code is FailureKind.AUTHENTICATION and words.code and refusals().by_code((words.code,)) is by_code
    known = refusals().by_words(words.message, FailureKind.AUTHENTICATION)
    if known is None and not sure:
        known = refusals().by_words(words.message, FailureKind.MODEL_NOT_FOUND)
    if known is None and status != 401:
        known = refusals().by_words(words.message, *_SAID_WITH_403)
    if status == 401 and known is None:
        return FailureKind.AUTHENTICATION
    return known or by_code_forbidden(by_code) or _BY_STATUS[status]


def by_code_forbidden(by_code: FailureKind | None) -> FailureKind | None:
    return by_code if by_code in (FailureKind.AUTHENTICATION, FailureKind.PERMISSION) else None


def _kind_of_server_error(status: int, by_code: FailureKind | None, words: ErrorWords) -> FailureKind:
    if status == 500:  # local servers send it for a prompt that is too long
        if by_code in (FailureKind.CONTEXT_LENGTH, FailureKind.CONTENT_POLICY):
            return by_code
        if refusals().says(FailureKind.CONTEXT_LENGTH, words.message):
            return FailureKind.CONTEXT_LENGTH
    return _BY_STATUS.get(status, FailureKind.SERVER)


_AS_REFUSED = (
    FailureKind.AUTHENTICATION,  # some answer 400 to a bad key
    FailureKind.PERMISSION,
    FailureKind.CONTENT_POLICY,
    FailureKind.MODEL_NOT_FOUND,
    FailureKind.CONTEXT_LENGTH,
    FailureKind.INVALID_REQUEST,
    FailureKind.UNSUPPORTED,
    FailureKind.SERVER,
)
_OWED = re.compile(r"balance|suspend|spend|overdue|arrear|credit|usage|欠费|余额", re.I)


def _kind_of_request_error(status: int, by_code: FailureKind | None, words: ErrorWords) -> FailureKind:
    if status == 413:
        return FailureKind.CONTEXT_LENGTH
    if status == 404:
        # A missing route (no /embeddings here) says nothing about the model: another provider may have it.
        named = by_code is FailureKind.MODEL_NOT_FOUND or refusals().says(FailureKind.MODEL_NOT_FOUND, words.message)
        if by_code not in (None, FailureKind.MODEL_NOT_FOUND, FailureKind.SERVER):
            return by_code
        return FailureKind.MODEL_NOT_FOUND if named else FailureKind.UNSUPPORTED
    if words.flagged:
        return FailureKind.CONTENT_POLICY
    if by_code is not None and by_code is not FailureKind.SERVER:
        return by_code
    if status in _BY_STATUS:  # Cohere: 498, a blocked input
        return refusals().by_words(words.message, FailureKind.CONTENT_POLICY) or _BY_STATUS[status]
    if status in (400, 412) and refusals().says(FailureKind.QUOTA, words.message) and _OWED.search(words.message):
        return FailureKind.QUOTA  # Anthropic's "Your credit balance is too low", Fireworks' "Account … is suspended"
    found = refusals().by_words(words.message, *_AS_REFUSED)
    if found is None and words.param:
        found = refusals().by_words(f"{words.message[: MOST_TEXT - 100]} [{words.param[:90]}]", FailureKind.UNSUPPORTED)
    if found is None and status == 410:
        found = FailureKind.MODEL_NOT_FOUND if "model" in words.message.lower() else None
    if found is not None:
        return found
    return FailureKind.UNSUPPORTED if status in _NOT_HERE else FailureKind.INVALID_REQUEST


def failure_from_response(status: int, body: bytes, raw_headers: RawHeaders, url: str) -> ProviderFailure:
    """An answer with an error status, or a redirect."""
    words = _typed(read_error(body), raw_headers)
    if status == 429:
        raw_headers = [*_headers_inside(body), *raw_headers]  # the response's own come last and win
    waits = _waits(status, words, raw_headers)
    kind, missing = kind_of_error(status, words, waits), False
    to = next((value.decode("latin-1") for name, value in raw_headers if name.lower() == b"location"), "")
    if 300 <= status < 400 and to:
        kind = FailureKind.BAD_ANSWER
        message = f"{url} redirects to {to.split('?')[0]}: redirects are not followed, set base_url to where it leads"
    elif status == 400 and wants_tls(words.message):
        kind = FailureKind.BAD_ANSWER
        message = f"{url} needs TLS: base_url has to begin with https://"
    elif (elsewhere := not_there(url, status, words.message)) is not None:
        message, missing = elsewhere, True
    elif words.message:
        message = words.message
    else:
        message = f"{url} answered {status}"
    return ProviderFailure(
        kind,
        message,
        status=status,
        body=body,
        retry_after=waits,
        limits=rate_limits(raw_headers),
        refused=refused_features(status, words) if kind is FailureKind.UNSUPPORTED else (),
        elsewhere=missing,
        of_reasoning=status in _REFUSES and _of_reasoning(words),
    )


def _typed(words: ErrorWords, raw_headers: RawHeaders) -> ErrorWords:
    """The error with the code that AWS has in a header instead of the body, such as `ThrottlingException:http://…`."""
    for name, value in raw_headers:
        if name.lower() == b"x-amzn-errortype":
            code = printable(value.decode("latin-1").partition(":")[0])[:200]
            return msgspec.structs.replace(words, code=code, codes=(code, *words.codes)) if code else words
    return words


def _waits(status: int, words: ErrorWords, raw_headers: RawHeaders) -> float | None:
    """Seconds that the provider asks us to wait: by its header, its words, or the reset of its limits."""
    waits = retry_after(raw_headers)
    if waits is None and (status == 429 or status >= 500):
        waits = words.retry_after
    if waits is None and status == 429:
        waits = used_up_for(raw_headers)
    return waits


def _headers_inside(body: bytes) -> list[tuple[bytes, bytes]]:
    """OpenRouter puts the limits of a 429 into its body, as the `headers` of the error's `metadata`."""
    try:
        headers = msgspec.json.decode(body, type=_WithHeaders).error.metadata.headers
    except UNREADABLE:
        return []
    return [(name.encode(errors="replace"), value.encode(errors="replace")) for name, value in headers.items()]


def failure_from_error_object(error: bytes, usage: Usage | None = None, said: str = "") -> ProviderFailure:
    """An error inside a 200: as an event of a stream, or in place of the answer. error: the object, or what contains it
    (Google's is in a list), or plain text. usage, said: what the provider reported and sent before it.

    Its kind is the one that a known code, status or wording names; anything else is a bad answer.
    """
    document = document_of(error)
    words = words_of(document)
    inside = _status_in(words)
    waits = _waits(inside, words, _headers_inside(error) if inside == 429 else [])
    kind = FailureKind.CONTENT_POLICY if words.flagged else kind_by_code(words)
    if inside and (kind is None or kind is FailureKind.SERVER):
        kind = kind_of_error(inside, words, waits)
    refused = refused_features(inside, words) if kind in _MAY_NAME_A_FEATURE else ()
    if refused:
        kind = FailureKind.UNSUPPORTED
    if kind is None and words.type == "invalid_request_error":
        kind = _kind_of_request_error(400, None, words)
    if kind is None:
        kind = _kind_by_words(words)
    if kind is None or kind is FailureKind.SERVER:
        kind = FailureKind.BAD_ANSWER
    named = f": {words.code or words.type}" if words.codes else ""
    message = words.message or f"the provider sent an error inside its answer{named}"
    body = msgspec.json.encode({"error": _inside(document)})
    return ProviderFailure(
        kind,
        message,
        status=inside or 200,
        body=body,
        retry_after=waits if inside or kind not in _PASSES else words.retry_after,
        refused=refused,
        error_inside=True,
        of_reasoning=_of_reasoning(words),
        usage=usage,
        said=said,
    )


_PASSES = (FailureKind.RATE_LIMIT, FailureKind.QUOTA, FailureKind.BAD_ANSWER)
_STATUS_FIRST = re.compile(
    r"(?:HTTP(?:/\d(?:\.\d)?)?|error|status|code|[\s:=]){0,8}?([45]\d\d)(?:$|\s{0,2}[-:,;({]|\s{1,2}(\w{1,30}))", re.I
)
_PHRASES = {status.value: status.phrase.lower() for status in HTTPStatus}
_TOO_OFTEN = re.compile(r"rate.?limit|too many requests|throttl|slow down", re.I)


def _status_in(words: ErrorWords) -> int:
    """The status that stands for its code, or before its words ("429 Too Many Requests"); 0: none."""
    if words.code.isascii() and words.code.isdigit() and 400 <= int(words.code) < 600:
        return int(words.code)
    stands = _STATUS_FIRST.match(words.message)
    if stands is None or not _PHRASES.get(int(stands[1]), "").startswith((stands[2] or "").lower()):
        return 0
    return int(stands[1])


def _kind_by_words(words: ErrorWords) -> FailureKind | None:
    """The kind of an error with neither a code nor a status. A temporary problem is not held against model or key."""
    if _TOO_OFTEN.search(words.message) or refusals().says(FailureKind.QUOTA, words.message):
        return _kind_used_up(429, None, words, words.retry_after)
    if _PASSING.search(words.message):
        return None
    return refusals().by_words(words.message, *_AS_REFUSED)


def failure_from_no_answer(url: str, body: bytes) -> ProviderFailure:
    """For a good status with a body that is not a JSON object: an error in another shape, or something else."""
    if is_error_list(body) or (len(body) <= MOST_TEXT and error_answers.of_words(body) is error_answers.Sign.ERROR):
        return failure_from_error_object(body)
    return no_answer(url, body)


def is_error_list(body: bytes) -> bool:
    """Whether it is `[{"error": …}]`, as Google sends it in place of an answer or an event."""
    if body[:64].lstrip()[:1] != b"[":
        return False
    document = document_of(body)
    return isinstance(document, list) and bool(document) and isinstance(document[0], dict) and "error" in document[0]


def _inside(document: Any) -> Any:
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and document.get("error"):
        return document["error"]
    return document
