"""What a service is: an operation carried out in steps by an API of its own.

Owns: the steps, what comes back, and the result. Must never: send, wait, or know an address or a key: these are in the
service's row of `meshd/catalogue/providers.toml`.

A service's file is pure. It turns an operation's body into requests, and their answers into the operation's answer:

    def search(asked: Asked) -> Steps:
        answer = yield Ask("POST", "search", json={"query": asked.fields["query"]})
        return Result({"results": […]}, units={"searches": 1})

A job that is submitted and polled tells how it is cancelled, so that a call that ends early ends the job as well:

        job = yield Ask("POST", "jobs", json=…)
        yield Begun(Ask("DELETE", f"jobs/{id}"))
        for pause in pauses():
            yield Wait(pause)
            state = yield Ask("GET", f"jobs/{id}", again=POLLED)

`meshd/connectors/providers/services` carries the steps out within the call's deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from meshd.sdk.calls.failure import FailureKind, ProviderFailure
from meshd.sdk.reading import lenient

MOST_ANSWER = 32 * 1024 * 1024
"""Bytes of one answer that is read whole."""
POLLED = 3
"""How often a question about a job is asked again if it fails: the job goes on."""
_IMMATERIAL = frozenset(
    {"model", "stream", "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "service_tier"}
)
"""Fields of any body that say who asks, or how. They change nothing of a service's answer."""

T = TypeVar("T", bound=msgspec.Struct)
Query = Mapping[str, str | int | Sequence[str]]


class Ask(NamedTuple):
    """One request. path: below the base URL, or below that of `host`, which is one of the row's `hosts`. url: an
    absolute address that an earlier answer named, instead of these: the provider's own, or one of the row's
    `downloads`, which is asked without the key. json: the body; or body: its bytes, of the `content_type`. again: how
    often it may be repeated if it fails, as it changes nothing. piped: its answer's body is not read: it is what the
    app gets, in pieces as they come. most: bytes of its answer."""

    method: str
    path: str = ""
    query: Query = {}
    json: Any = None
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    host: str = ""
    url: str = ""
    again: int = 0
    piped: bool = False
    most: int = MOST_ANSWER


class Wait(NamedTuple):
    seconds: float


class Begun(NamedTuple):
    """A job runs at the provider. cancel: ends it; None: it cannot be ended, but what follows may cost something."""

    cancel: Ask | None = None


class Malformed(Exception):
    """An answer is not what it should be: what it lacks, as in "answered without results"."""


class Told(msgspec.Struct, frozen=True):
    """An answer with a good status. headers: by lower-case name. body: b"" if it is piped."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def object(self) -> dict[str, Any]:
        """Raises Malformed."""
        found = self.json()
        if not isinstance(found, dict):
            raise Malformed("without a JSON object")
        return found

    def json(self) -> Any:
        """Raises Malformed."""
        try:
            return lenient.decode(self.body)
        except lenient.NotJSON:
            raise Malformed("without JSON") from None


class File(NamedTuple):
    """A file of a form. field: its name there."""

    field: str
    filename: str
    content_type: str
    content: memoryview


class Asked(msgspec.Struct, frozen=True):
    """What an app asks. model: as the provider names it. fields: of its body, without those that are null; of a form,
    most are texts. files: of a form. stream: the answer may come in pieces."""

    model: str
    fields: Mapping[str, Any]
    files: tuple[File, ...] = ()
    stream: bool = False

    def read(self, form: type[T]) -> T:
        """The fields as a struct of msgspec. Raises ProviderFailure, which names the field that does not fit, or that
        this service does not know."""
        known = {each.encode_name for each in msgspec.structs.fields(form)}
        for name in self.fields:
            if name not in known and name not in _IMMATERIAL and not any(file.field == name for file in self.files):
                raise cannot(name, "which it does not know")
        given = {name: value for name, value in self.fields.items() if name in known}
        try:
            return msgspec.convert(given, form, strict=not self.files)
        except msgspec.ValidationError as error:
            why, _, place = str(error).partition(" - at `$.")
            raise wrong(place.rstrip("`") or _missing(why), why) from None


class Result(msgspec.Struct, frozen=True):
    """document: the operation's answer, as JSON; or body: its bytes, of the `content_type`; neither if the last request
    was piped. units: what was used, by the names of `meshd/core/prices.py`; what is missing counts as reserved.
    kind: of these, where their price depends on it. input_tokens: of an operation that is counted in tokens; None: not
    told. events: the answer as a stream of JSON events, if the app asks for one."""

    document: Any = None
    body: bytes = b""
    content_type: str = ""
    units: Mapping[str, int] = {}
    kind: Mapping[str, str] = {}
    input_tokens: int | None = None
    events: Sequence[Mapping[str, Any]] = ()


Step = Ask | Wait | Begun
Steps = Generator[Step, Told, Result]
"""What comes back from a `Wait` or a `Begun` is to be ignored. They may raise ProviderFailure and Malformed."""
Operation = Callable[[Asked], Steps]


class Service(msgspec.Struct, frozen=True):
    """operations: by their names in `meshd/operations`."""

    operations: Mapping[str, Operation]


# -- failures -----------------------------------------------------------------------------------------


def cannot(parameter: str, why: str = "which it cannot do") -> ProviderFailure:
    """The service cannot express this; another one may."""
    return _of_the_request(FailureKind.UNSUPPORTED, parameter, f"the service was asked for `{parameter}`, {why}")


def wrong(parameter: str, why: str) -> ProviderFailure:
    """No service can answer this."""
    return _of_the_request(FailureKind.INVALID_REQUEST, parameter, f"`{parameter}`: {why}" if parameter else why)


def failed(why: str, kind: FailureKind = FailureKind.BAD_ANSWER) -> ProviderFailure:
    """A job ended without an answer. It may have cost something. why: the provider's words."""
    return ProviderFailure(kind, why[:1000] or "the job failed", status=200)


def _of_the_request(kind: FailureKind, parameter: str, message: str) -> ProviderFailure:
    error = {"message": message, "type": "invalid_request_error", "param": parameter or None}
    return ProviderFailure(kind, message, body=lenient.plain({"error": error}), unsent=True)


def _missing(why: str) -> str:
    """The field in "Object missing required field `query`"."""
    return why.partition("field `")[2].rstrip("`")


# -- shared by services -------------------------------------------------------------------------------


def pauses() -> Iterator[float]:
    """Seconds between questions about a job, without end."""
    pause = 0.25
    while True:
        yield pause
        pause = min(pause * 1.5, 5.0)


def segment(name: Any) -> str:
    """An id that the provider gave, as a part of a path. Raises Malformed."""
    if not isinstance(name, str | int) or not str(name):
        raise Malformed("without an id")
    return quote(str(name)[:500], safe="")


def objects(value: Any) -> list[dict[str, Any]]:
    """The maps of a list, and nothing else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """A text, else ""."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """A number of things that were used, else None."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return int(-(-value // 1)) if whole else None


def told_at(headers: Mapping[str, str]) -> int:
    """By the provider's clock; 0 if it does not say."""
    from email.utils import parsedate_to_datetime  # with what it needs, half a megabyte

    try:
        return int(parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
