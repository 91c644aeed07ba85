"""What an attempt is settled with: its provider's report where plausible, else what was counted.

Owns: the rule from how an attempt ended, and what came of it, to the tokens it is settled with; what a report may say.
Must never: settle an attempt with zero if it may have cost something, or with an impossible number.

| how it ended, without a report | input | output |
| --- | --- | --- |
| not sent, or refused with a status of 400 or more, and nothing came | none | none |
| a 200 without an answer: HTML, an error event, an empty stream | counted | what came |
| an answer or a stream to its end | counted | counted from the text |
| a stream that was cut, silent, timed out, lost, the app gone | counted | counted from the text that came; \
of a model that thinks unheard, and of which no thinking came, what was reserved |
| an answer in one piece, cut, timed out, lost, the app gone | counted | what was reserved |

Counted: with the model's vocabulary if that was done, else from bytes, which is never too low. Output is never
estimated above the reservation: the provider keeps to the limit it was sent, so the excess is the estimate's error.

A report counts within bounds: at least a quarter of what was counted for longer text, and at most what was reserved,
unless the model's own limits allow more. Outside of them each half is replaced separately: too little by the count, too
much by the reservation. Cached tokens are part of the prompt, or ignored.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from meshd.core.needs import BYTES_PER_TOKEN, TOKENS_PER_IMAGE, RequestNeeds
from meshd.core.prices import HEARD, HEARD_CACHED, PICTURED, SPOKEN
from meshd.routing.request import estimate
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import FailureKind, ProviderFailure, Usage

OUTPUT_BYTES_PER_TOKEN: Final = 2
"""For an answer's text without its vocabulary: English has 4 to 5 bytes a token, Chinese 3, code less than English."""

MARGIN: Final = 4
"""A report may be this many times lower than the count: vocabularies differ, and the count is rather too high."""

SHORT: Final = 64
"""A prompt of this many tokens or fewer is mostly a conversation's framing, which only some providers count."""

LARGEST_UNKNOWN: Final = 131_072
"""Tokens that a model may use if its limits are unknown and the request has none."""

MOST_ESTIMATED: Final = 10**9
"""For any attempt: sums of settled tokens fit 64 bits, whatever limits are configured."""

_NOTHING: Final = Usage()
_CUT = frozenset({FailureKind.TIMEOUT, FailureKind.CONNECTION, FailureKind.STREAM_CUT, FailureKind.CANCELLED})


class Received(NamedTuple):
    """What came of an answer. size: bytes of its text. events: of a stream, those with content or part of a tool call:
    at least a token each. tokens: of the text, if the model's vocabulary was available. thought: some of it was
    reasoning."""

    size: int = 0
    events: int = 0
    tokens: int | None = None
    thought: bool = False

    @classmethod
    def of(cls, text: str, events: int = 0, tokens: int | None = None, thought: bool = False) -> Received:
        return cls(len(text.encode(errors="replace")), events, tokens, thought)


def used(
    failure: ProviderFailure | None, needs: RequestNeeds, model: ModelSpec, received: Received, *, ended: bool = True
) -> Usage:
    """What the attempt is settled with. failure: None where the answer or stream ended well, or the app disconnected.
    ended: False: the app disconnected before the end."""
    came = received.size > 0 or received.events > 0
    if failure is not None and not came and (failure.unsent or failure.status >= 400):
        return _NOTHING
    cut = not ended if failure is None else failure.kind in _CUT and failure.status < 400
    if cut and _goes_on_unheard(needs, model, received):
        return Usage(_input(needs, model), min(estimate.upper_bound(needs, model).tokens_out, MOST_ESTIMATED))
    if failure is not None and not came:
        return Usage(_input(needs, model))
    return Usage(_input(needs, model), _output(needs, model, received))


def _goes_on_unheard(needs: RequestNeeds, model: ModelSpec, received: Received) -> bool:
    """Whether the model may have made more than what came when the attempt was cut."""
    if not needs.operation.output:
        return False
    return not needs.stream or (model.thinks_unheard and not received.thought)


# -- what a provider reports --------------------------------------------------------------------------


class Read(NamedTuple):
    """usage: to settle with. replaced: the implausible part of the report, in words; "" if there is none."""

    usage: Usage
    replaced: str = ""


def lacks_tokens(reported: Usage, needs: RequestNeeds, model: ModelSpec) -> bool:
    """Whether a report says nothing about the tokens that cost something."""
    if reported.input_tokens or reported.output_tokens or not needs.operation.told:
        return False
    return bool(model.pricing.input_per_1m or model.pricing.output_per_1m)


def may_be_true(reported: Usage, needs: RequestNeeds, model: ModelSpec, size: int) -> bool:
    """Whether nothing needs replacing, for an answer of at most `size` bytes of text."""
    return (
        _fits_in(reported.input_tokens, needs, model)
        and _fits_out(reported.output_tokens, needs, model, Received(size))
        and _fits_cached(reported, reported.input_tokens)
    )


def read(reported: Usage, needs: RequestNeeds, model: ModelSpec, received: Received) -> Read:
    """A report within bounds. received: all that came of the answer."""
    given_in, given_out, given_cached = reported.input_tokens, reported.output_tokens, reported.cached_tokens
    said: list[str] = []
    tokens_in, tokens_out, cached, written = given_in, given_out, given_cached, reported.written_tokens
    lasting = reported.lasting_tokens
    if not _fits_in(given_in, needs, model):
        most = estimate.upper_bound(needs, model).tokens_in
        tokens_in = _input(needs, model) if given_in < most else min(most, MOST_ESTIMATED)
        said.append(f"{_number(given_in)} tokens of prompt")
    if not _fits_out(given_out, needs, model, received):
        most = estimate.upper_bound(needs, model).tokens_out
        low = given_out < most or not most
        tokens_out = _output(needs, model, received) if low else min(most, MOST_ESTIMATED)
        said.append(f"{_number(given_out)} tokens of answer")
    if not _fits_cached(reported, tokens_in):
        cached, written, lasting = 0, None, None  # a cache lowers the price: only if it is certain
        said.append(f"{_number(given_cached)} cached tokens of {_number(given_in)}")
    if not said:
        return Read(reported)
    usage = replace(
        reported,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=cached,
        written_tokens=written,
        lasting_tokens=lasting,
    )
    took = f"{tokens_in:,} and {tokens_out:,} are counted"
    return Read(usage, f"it reported {', '.join(said)}, which is impossible; {took}")


def in_tier(usage: Usage, needs: RequestNeeds, model: ModelSpec) -> Usage:
    """The same with the service tier that the request asked for, if the answer tells none and that one costs more."""
    pricing, asked = model.pricing, model.pricing.in_tier(needs.tier)
    if usage is _NOTHING or usage.tier or asked.output_per_1m <= pricing.output_per_1m:
        return usage
    return replace(usage, tier=needs.tier)


def in_units(usage: Usage, needs: RequestNeeds, model: ModelSpec) -> Usage:
    """The same, counting besides tokens what was reserved: as reported, within the reservation, or all of it. Where
    images or audio have prices of their own, tokens that the report does not break down count as theirs, up to the most
    that there can be."""
    if usage is _NOTHING:
        return usage
    told, most = dict(usage.units), dict(needs.units)
    if needs.images and PICTURED in model.pricing.of_units:
        most[PICTURED] = usage.input_tokens
    if HEARD in model.pricing.of_units:
        told.setdefault(HEARD, min(estimate.heard_at_most(needs, model), usage.input_tokens))
        most[HEARD] = usage.input_tokens
        again = told.pop(HEARD_CACHED, 0)
        if HEARD_CACHED in model.pricing.of_units:
            told[HEARD_CACHED], most[HEARD_CACHED] = again, usage.cached_tokens
        else:
            told[HEARD] += again
    if SPOKEN in model.pricing.of_units:
        told.setdefault(SPOKEN, usage.output_tokens if estimate.asks_for_sound(needs) else 0)
        most[SPOKEN] = usage.output_tokens
    kind = tuple(estimate.kind_of(needs, model, usage.kind).items())
    return replace(usage, units=tuple((name, _told(told.get(name), each)) for name, each in most.items()), kind=kind)


def _told(count: int | None, most: int) -> int:
    return most if count is None or not 0 <= count <= most else count


def _fits_in(tokens: int, needs: RequestNeeds, model: ModelSpec) -> bool:
    """The reservation is checked last, as it takes longest to compute."""
    if tokens < _floor_in(needs, model):
        return False
    return tokens <= (model.context_window or LARGEST_UNKNOWN) or tokens <= estimate.upper_bound(needs, model).tokens_in


def _fits_out(tokens: int, needs: RequestNeeds, model: ModelSpec, received: Received) -> bool:
    if tokens < _floor_out(needs, received):
        return False
    if tokens <= _heard(received) and needs.operation.output:
        return True
    return tokens <= _longest(needs, model, received) or tokens <= estimate.upper_bound(needs, model).tokens_out


def _fits_cached(reported: Usage, tokens_in: int) -> bool:
    cached, written, lasting = reported.cached_tokens, reported.written_tokens or 0, reported.lasting_tokens or 0
    if not cached and not written and not lasting:
        return True
    return cached >= 0 <= lasting <= written and cached + written <= min(reported.input_tokens, tokens_in)


def _floor_in(needs: RequestNeeds, model: ModelSpec) -> int:
    """For text only: images and files may be few tokens."""
    if not needs.operation.tokens:
        return 0
    counted = needs.counts.get(model.vocabulary)
    if counted is None:
        counted = needs.tokens - needs.attached - TOKENS_PER_IMAGE * needs.images
    return counted // MARGIN if counted > SHORT else 1


def _floor_out(needs: RequestNeeds, received: Received) -> int:
    """By the text, never by events: some servers send single characters."""
    if not needs.operation.output:
        return 0
    if received.tokens is not None:
        return max(received.tokens // MARGIN, received.size > 0)
    return max(received.size // (BYTES_PER_TOKEN * MARGIN), received.size > 0)


def _longest(needs: RequestNeeds, model: ModelSpec, received: Received) -> int:
    """The most tokens that the answer can have, whatever was reserved."""
    if needs.operation.told and needs.units and model.pricing.cost_of_answer(needs.units.items(), {}):
        return 0  # the prices of images say how many there are at most
    if needs.operation.told:
        each = model.max_output_tokens or model.context_window or LARGEST_UNKNOWN
        return each * estimate.choices(needs, model)
    if not needs.operation.output:
        return 0
    heard = _heard(received)
    known = model.max_output_tokens or model.context_window
    if known is not None:
        return max(known * estimate.choices(needs, model), heard)
    limited = estimate.output_limit(needs, model) is not None or model.pricing.output_per_1m
    return heard if limited else max(heard, LARGEST_UNKNOWN)


def _heard(received: Received) -> int:
    """The most tokens that what came can have: a token is at least a byte of text."""
    return received.size if received.tokens is None else received.tokens


def _number(count: int) -> str:
    return "a negative number of" if count < 0 else f"{count:,}" if count < 10**12 else "at least a trillion"


# -- what was counted ---------------------------------------------------------------------------------


def _input(needs: RequestNeeds, model: ModelSpec) -> int:
    counted = model.vocabulary in needs.counts
    return min(max(estimate.input_at_most(needs, model) if counted else needs.tokens, 1), MOST_ESTIMATED)


def _output(needs: RequestNeeds, model: ModelSpec, received: Received) -> int:
    """0 for a request that was given up before anything came, else at least one."""
    if needs.operation.told:  # the text says nothing about them
        return min(estimate.upper_bound(needs, model).tokens_out, MOST_ESTIMATED)
    tokens = received.tokens if received.tokens is not None else -(-received.size // OUTPUT_BYTES_PER_TOKEN)
    return min(max(tokens, received.events, received.size > 0), estimate.upper_bound(needs, model).tokens_out)
