"""The error of a request that was sent to a provider, in words that help an app's developer."""

from __future__ import annotations

import json
import re
from typing import Any

from meshd.core.events.records import Attempt
from meshd.core.text.durations import ASK_AGAIN_IN, format_duration
from meshd.routing.standing import Availability
from meshd.routing.table.specs import ModelSpec, ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure
from modelmesh.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    MeshError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RoutingError,
    UnprocessableEntityError,
)
from modelmesh.wording import short, told

THE_APPS_OWN = frozenset(
    {
        FailureKind.INVALID_REQUEST,
        FailureKind.UNSUPPORTED,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.CONTENT_POLICY,
        FailureKind.MODEL_NOT_FOUND,
    }
)

_CODES = {
    FailureKind.CONTEXT_LENGTH: "context_length_exceeded",
    FailureKind.CONTENT_POLICY: "content_policy_violation",
}
"""What OpenAI calls them: apps ask for these names, and most other APIs give none."""

_LONGEST_MESSAGE = 16384  # characters

_BY_STATUS: dict[int, type[InvalidRequestError]] = {
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
}

_CLASSES: dict[FailureKind, type[ProviderError]] = {
    FailureKind.AUTHENTICATION: AuthenticationError,
    FailureKind.PERMISSION: PermissionDeniedError,
    FailureKind.RATE_LIMIT: RateLimitError,
    FailureKind.QUOTA: RateLimitError,
    FailureKind.TIMEOUT: ProviderTimeoutError,
    FailureKind.CONNECTION: ProviderConnectionError,
}


def passed_on(failure: ProviderFailure, attempts: list[dict[str, Any]]) -> MeshError:
    """The provider's own 4xx, unchanged: its status and, if it sent one, its error object."""
    own = _error_object(failure)
    said = own.get("message")
    # The connector has extracted the message, whatever its form; only a plain body may contain more.
    plain = isinstance(said, str) and said.strip() and said.lstrip()[:1] not in "{[<" and not own.get("metadata")
    message = str(said)[:_LONGEST_MESSAGE] if plain else failure.message
    # An error inside a 200 has the status 200, but is an error nevertheless.
    status = 404 if failure.kind is FailureKind.MODEL_NOT_FOUND else 400
    if 400 <= failure.status < 500:
        status = failure.status
    cls = _BY_STATUS.get(status, InvalidRequestError)
    names = _names(own, status)
    names["code"] = names["code"] or _CODES.get(failure.kind, str(failure.kind))
    return cls(message, status_code=status, attempts=attempts, **names)


def _error_object(failure: ProviderFailure) -> dict[str, Any]:
    """The error object that the provider sent, empty if it sent none."""
    try:
        parsed = json.loads(failure.body)
        own = parsed["error"] if isinstance(parsed.get("error"), dict) else parsed
    except (ValueError, AttributeError, RecursionError):
        return {}
    return own if isinstance(own, dict) else {}


def _names(own: dict[str, Any], status: int) -> dict[str, Any]:
    """The fields by which programs distinguish errors."""
    return {key: _code(own.get(key), status) or None for key in ("code", "type", "param")}


def _code(value: Any, status: int) -> str:
    """A name as OpenAI's clients expect it: text that does not repeat the status."""
    if not isinstance(value, str | int) or isinstance(value, bool) or str(value) == str(status):
        return ""
    return str(value)[:200]


_SENTENCES: dict[FailureKind, str] = {
    FailureKind.AUTHENTICATION: "The key of provider {provider} is refused; give the daemon another.",
    FailureKind.PERMISSION: "Provider {provider} does not allow this with its key; check what the key may do.",
    FailureKind.RATE_LIMIT: "Provider {provider} is getting too many requests; ask again {when}.",
    FailureKind.QUOTA: "The quota of provider {provider} is used up; ask again {when}.",
    FailureKind.TIMEOUT: "Provider {provider} did not answer in time; ask again, or allow more time.",
    FailureKind.CONNECTION: "Provider {provider} cannot be reached; check that it runs, and its base_url.",
    FailureKind.SERVER: "Provider {provider} failed; ask again, or add another to the pool.",
    FailureKind.BAD_ANSWER: "Provider {provider} gave an answer that cannot be read; ask again.",
    FailureKind.STREAM_CUT: "Provider {provider} cut its answer off; ask again.",
}
_KEYLESS: dict[FailureKind, str] = {
    FailureKind.AUTHENTICATION: (
        "Provider {provider} needs a key and has none; give it an `api_key` in the configuration."
    ),
    FailureKind.PERMISSION: "Provider {provider} forbids this; check what it allows, or give it an `api_key`.",
}
"""The same errors for a provider without a key."""
_OF_THE_APP: dict[FailureKind, str] = {
    FailureKind.AUTHENTICATION: "Provider {provider} refuses the key that the app sent; send another.",
    FailureKind.PERMISSION: "Provider {provider} does not allow this with the app's key; check what the key may do.",
    FailureKind.RATE_LIMIT: "Provider {provider} is getting too many requests with the app's key; ask again {when}.",
    FailureKind.QUOTA: "The quota of the app's key at provider {provider} is used up; ask again {when}.",
}
"""The same errors for a provider that takes the app's own key."""
_WORDED = "Provider {provider} answered with an error; ask again, or add another to the pool."
_UNNAMED = "Provider {provider} could not be asked; ask again, or see `meshctl doctor`."


_ASKED = re.compile(r"is base_url right(?:\?\s*|, and )")
"""Words that repeat the sentence before them."""


def nothing_there(failure: ProviderFailure, attempt: Attempt, attempts: list[dict[str, Any]]) -> MeshError:
    """The error if every request to this provider got a 404."""
    return NotFoundError(
        told(
            f"Provider {short(attempt.provider)} has nothing at this path; check its base_url in the configuration.",
            f"{attempt.model}: {_ASKED.sub('', failure.message).rstrip(': ')}",
        ),
        code=str(failure.kind),
        attempts=attempts,
    )


def lacking(failure: ProviderFailure, attempts: list[dict[str, Any]]) -> MeshError:
    """A 503: this machine lacked something for as long as the request could wait."""
    details = (f"to ask {failure.where}",) if failure.where else ()
    message = told(f"{failure.lack}.", *details)
    return RoutingError(message, code="local_lack", retryable=True, retry_after=ASK_AGAIN_IN, attempts=attempts)


def as_another_was_refused(
    model: ModelSpec, provider: ProviderSpec, availability: Availability, rests_for: float | None, operator: bool
) -> MeshError:
    """The error of a request that waited for another one's test: the same as if it had been refused itself, though only
    an operator is shown what the other was told."""
    assert availability.kind is not None, "it refuses"
    failure = ProviderFailure(availability.kind, availability.reason_for(operator=operator))
    if failure.kind is FailureKind.MODEL_NOT_FOUND:
        if not operator:
            failure.message = f"Provider {short(provider.name)} does not know {short(model.id)}; see `meshctl models`."
        return passed_on(failure, [])
    attempt = Attempt(model.id, model.provider, False, failure.kind, failure.message, 0, 0.0)
    return of_one_provider(failure, attempt, provider, [], rests_for if failure.kind is FailureKind.QUOTA else None)


def of_one_provider(
    failure: ProviderFailure,
    attempt: Attempt,
    provider: ProviderSpec,
    attempts: list[dict[str, Any]],
    rests_for: float | None = None,
) -> MeshError:
    """rests_for: seconds for which the model is set aside if its quota is used up, so that asking sooner does not
    help."""
    cls = _CLASSES.get(failure.kind, ProviderError)
    retryable = failure.kind in (FailureKind.SERVER, FailureKind.BAD_ANSWER, FailureKind.STREAM_CUT)
    wait = failure.retry_after if rests_for is None else rests_for
    when = "later" if wait is None else f"in {format_duration(max(wait, 1.0))}"
    sentence = _SENTENCES.get(failure.kind, _UNNAMED)
    if failure.error_inside and failure.kind is FailureKind.BAD_ANSWER:
        sentence = _WORDED
    if provider.app_keys:
        sentence = _OF_THE_APP.get(failure.kind, sentence)
    elif not provider.keyed:
        sentence = _KEYLESS.get(failure.kind, sentence)
    tries = f" ({len(attempts)} attempts)" if len(attempts) > 1 else ""
    names = _names(_error_object(failure), failure.status) if 400 <= failure.status < 500 else {}
    if failure.kind is FailureKind.QUOTA and not names.get("code"):
        names["code"] = "insufficient_quota"
    return cls(
        told(
            sentence.format(provider=short(attempt.provider), model=short(attempt.model), when=when),
            f"{attempt.model}: {failure.message}{tries}",
        ),
        retryable=retryable or cls.retryable_by_default,
        retry_after=failure.retry_after if rests_for is None else rests_for,
        attempts=attempts,
        **names,
    )
