"""Which requests an answer may be kept for, and which of them are the same.

Owns: what an app may want from the cache, and the key of a request. Its format says which parameters matter.
Must never: keep an answer (`gateway/cache/cache.py` does), or let two requests share a key whose answers could differ.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from meshd.core.needs import RequestNeeds
from meshd.routing.table.policies import CachePolicy
from meshd.routing.table.specs import AppSpec, PoolSpec
from modelmesh.errors import InvalidRequestError

HEADER = "x-mesh-cache"
LONGEST = 1024**2
"""Bytes: the longest body that is looked up. Reading takes about 7 ns a byte, during which all other requests wait."""


class Parameters(Protocol):
    """What a wire format's parameters mean for an answer.

    name: of the format. immaterial: parameters that say who asks, or what the provider keeps, and do not change the
    answer."""

    @property
    def name(self) -> str: ...

    @property
    def immaterial(self) -> frozenset[str]: ...

    def repeatable(self, fields: Mapping[str, msgspec.Raw]) -> bool:
        """Whether they make the answer repeatable."""


class Wish(enum.Enum):
    """What an app wants from the cache. DEFAULT: if the parameters make the answer repeatable. ALWAYS: even if they do
    not. RENEW: ask, and replace the kept answer. NEVER: ask, and keep nothing."""

    DEFAULT = enum.auto()
    ALWAYS = enum.auto()
    RENEW = enum.auto()
    NEVER = enum.auto()


class Lookup(msgspec.Struct, frozen=True):
    """key: equal for requests with the same answer. read: a kept answer may be used."""

    key: bytes
    read: bool = True


def lookup(
    pool: PoolSpec,
    asked: str,
    needs: RequestNeeds,
    fields: Mapping[str, msgspec.Raw],
    headers: Mapping[str, str],
    app: AppSpec,
    uid: int,
    format: Parameters,
    passed_on: object,
) -> Lookup | None:
    """Where to look up and keep a request's answer; None if it is neither looked up nor kept.

    asked: the body's `model`. fields: the body's top level. app: the account that asks. uid: the caller's, by the
    kernel, -1: unknown. format: that of the body. passed_on: what a provider gets besides the body, as JSON can say it.

    Raises InvalidRequestError for an `x-mesh-cache` that says neither true nor false.
    """
    policy = pool.cache
    if policy is None or not needs.operation.cached:
        return None
    wish = wished(headers)
    if wish is Wish.NEVER:
        return None
    if wish is not Wish.ALWAYS and not (needs.operation.repeats or format.repeatable(fields)):
        return None
    whose = _whose(policy, app, uid)
    if whose is None or sum(map(len, fields.values())) > LONGEST:
        return None
    try:
        left_out = format.immaterial | _APART
        body = {name: _read(value) for name, value in fields.items() if name not in left_out}
        # As JSON, which has only one reading: one part cannot look like two.
        parts = [format.name, str(needs.operation), needs.stream, pool.name, asked, whose, _may_use(app)]
        text = json.dumps([*parts, body, passed_on], sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return Lookup(blake2b(text.encode(), digest_size=32).digest(), read=wish is not Wish.RENEW)


def wished(headers: Mapping[str, str]) -> Wish:
    """By `x-mesh-cache: true|false`, or else by HTTP's `cache-control`. headers: by name in lower case. Raises
    InvalidRequestError."""
    directives: set[str] = set()
    for name, value in headers.items():
        match name:
            case "x-mesh-cache":
                match value.strip().lower():
                    case "true":
                        return Wish.ALWAYS
                    case "false":
                        return Wish.NEVER
                    case _:
                        raise InvalidRequestError(f"{HEADER} is true or false, not {value[:50]!r}", param=HEADER)
            case "cache-control":
                directives |= {directive.strip().lower() for directive in value.split(",")}
    if "no-store" in directives:
        return Wish.NEVER
    return Wish.RENEW if "no-cache" in directives else Wish.DEFAULT


_APART = frozenset({"model", "stream"})  # they are separate parts of the key


def _whose(policy: CachePolicy, app: AppSpec, uid: int) -> list[object] | None:
    """Who shares an answer; None for a caller that is not identified.

    An app's answers are kept per user: several people run the same program, and all apps without an entry share one
    account.
    """
    if policy.scope == "shared":
        return ["shared"]
    if uid < 0:
        return None
    return ["user", uid] if policy.scope == "user" else ["app", uid, app.name]


def _may_use(app: AppSpec) -> list[list[str] | None]:
    """An app must not be given the answer of a model that it may not use."""
    return [None if allowed is None else sorted(allowed) for allowed in (app.pools, app.models)]


def _read(value: msgspec.Raw) -> Any:
    """Raises ValueError, also for what providers may read differently."""
    return json.loads(bytes(value), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members. If a name is given twice, some readers take the first value and some the last: that could
    plant an answer for another app."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members
