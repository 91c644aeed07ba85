"""How much room a provider has for a model: whether one more request fits now, and what is left of its limits.

Must never: know of apps, pools or the table (`rates.py`), read a clock or do I/O.
"""

from __future__ import annotations

from meshd.routing.rates.headroom import (
    UNLIMITED,
    Headroom,
    NoRoom,
    frees_at_best,
    limits_left,
    no_room_this_minute,
    overrides,
    used_up,
)
from meshd.routing.rates.records import Holder, ModelRecord, Pace
from meshd.routing.rates.shares import held_back
from meshd.routing.rates.sliding_window import SlidingWindow
from meshd.routing.table.specs import ModelSpec, ProviderSpec
from meshd.routing.words import without_words


def no_room_with_keys(
    spec: ProviderSpec,
    provider: Holder | None,
    model: ModelSpec,
    record: ModelRecord | None,
    tokens: int,
    now: float,
    resting: bool,
    operator: bool,
) -> NoRoom | None:
    """None while one key has room, else the `NoRoom` of the key that has room first. operator: whether an operator
    reads the reason; others are not shown the key or the provider's words."""
    ring = provider.keys if provider is not None else None
    if ring is not None and not resting:
        all_rest = ring.all_rest(now)
        if all_rest is not None and all_rest.retry_at < all_rest.until:
            ring = None  # as if none were set aside
    first: NoRoom | None = None
    for key in spec.keys:
        rest = ring.rest_of(key.id, now) if ring is not None else None
        if rest is None:
            no_room = no_room_with_key(key.id, spec, provider, model, record, tokens, now)
            if no_room is None:
                return None
        else:
            why = f"{key.id} is set aside ({rest.reason})" if operator else without_words(rest.why)
            no_room = NoRoom(f"no key of {spec.name} can be used now: {why}", rest.until - now)
        if first is None or frees_at_best(no_room) < frees_at_best(first):
            first = no_room
    assert first is not None
    return first if frees_at_best(first) < float("inf") else NoRoom(first.reason, None)


def no_room_with_key(
    key: str,
    spec: ProviderSpec,
    provider: Holder | None,
    model: ModelSpec,
    record: ModelRecord | None,
    tokens: int,
    now: float,
) -> NoRoom | None:
    """By the headers for this key, or else by the configuration."""
    rpm, tpm = spec.rate.rpm, spec.rate.tpm
    observed = record.observed.get(key) if record is not None else None
    if observed is not None and observed.told:
        for remaining, wanted, what in (
            (observed.remaining_requests, 1, "requests"),
            (observed.remaining_tokens, tokens, "tokens"),
        ):
            kept = 0 if remaining is None else held_back(remaining.limit, spec.rate.told)
            wait = None if remaining is None else remaining.free_in(wanted + kept, now)
            if remaining is not None and wait is not None:
                return used_up(spec.name, model.id, remaining, wanted, what, wait)
        if overrides(observed.remaining_requests, now):
            rpm = None
        if overrides(observed.remaining_tokens, now):
            tpm = None
    if provider is None or (rpm is None and tpm is None):
        return None
    return no_room_this_minute(spec.name, provider.window, rpm, tpm, tokens, now)


def usable_keys(spec: ProviderSpec, provider: Holder | None, now: float) -> list[str]:
    """Fingerprints of the keys that are not set aside; "" stands for the only one."""
    if not spec.keys:
        return [""]
    ring = provider.keys if provider is not None else None
    return [key.id for key in spec.keys if ring is None or ring.rest_of(key.id, now) is None]


def headroom_of(
    spec: ProviderSpec,
    provider: Holder | None,
    record: ModelRecord | None,
    pace: Pace | None,
    most: int | None,
    now: float,
) -> Headroom:
    """most: requests a minute that the pool allows, which `pace` counts."""
    rate, ids = spec.rate, usable_keys(spec, provider, now)
    if not ids:
        return Headroom(0.0, 0.0, None)
    known = [record.observed.get(id) for id in ids] if record is not None else []
    window = provider.window if provider is not None else SlidingWindow()
    window.expire(now)
    requests = limits_left(
        [None if each is None else each.remaining_requests for each in known], rate.rpm, len(window), now
    )
    tokens = limits_left(
        [None if each is None else each.remaining_tokens for each in known], rate.tpm, window.tokens, now
    )
    if pace is not None and most is not None:
        pace.window.expire(now)
        requests.append((most - len(pace.window), most))
    limits = [*requests, *tokens]
    if rate.concurrency is not None:
        limits.append((rate.concurrency - (provider.in_flight if provider is not None else 0), rate.concurrency))
    if not limits:
        return UNLIMITED
    return Headroom(
        min(max(left / limit, 0.0) if limit else float(left > 0) for left, limit in limits),
        min((float(max(left, 0)) for left, _ in requests), default=None),
        min((float(max(left, 0)) for left, _ in tokens), default=None),
    )
