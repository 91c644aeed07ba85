"""What an attempt used: what its provider reports, or what it received.

Must never: count nothing for an attempt that may have cost something.
"""

from __future__ import annotations

from msgspec.structs import replace

from meshd.core.needs import RequestNeeds
from meshd.formats.protocol import AppSide
from meshd.gateway.requests.token_counting import count_text
from meshd.routing.attempts import usage as settlement
from meshd.routing.attempts.usage import Received
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import ProviderAnswer, ProviderFailure, RateLimits, StreamEvent, Usage


class UsageMeter:
    """The usage of one attempt. app: the app's side of the format in which its answer comes. limits: the provider's
    last report of its limits. body, content_type: those of a unary answer. replaced: the implausible part of the
    provider's report."""

    __slots__ = (
        "_app",
        "_events",
        "_reported",
        "_size",
        "_text",
        "_thought",
        "body",
        "content_type",
        "limits",
        "replaced",
    )

    def __init__(self, app: AppSide) -> None:
        self._app = app
        self.body: bytes | None = None
        self.content_type = ""
        self.limits: RateLimits | None = None
        self.replaced = ""
        self._reported: Usage | None = None
        self._text: list[str] = []  # received since the last report
        self._events = 0  # received since the last report
        self._size = 0  # bytes of all text received
        self._thought = False

    def count_event(self, event: StreamEvent) -> None:
        if event.limits is not None:
            self.limits = event.limits
        if event.content:
            # Everything received counts, reasoning and tool calls too.
            said = event.text + event.reasoning + event.extra
            self._size += len(said)
            self._events += 1
            self._text.append(said)
            if event.reasoning:
                self._thought = True
        if event.usage is not None:
            self._reported = _joined(self._reported, event.usage)
            self._text.clear()
            self._events = 0

    def count_answer(self, answer: ProviderAnswer) -> None:
        self.body, self._reported, self.limits = answer.body, answer.usage, answer.limits
        self.content_type = answer.content_type
        self._size = len(answer.body) if answer.size is None else answer.size

    def count_failure(self, failure: ProviderFailure) -> None:
        if failure.said or failure.usage is not None:
            self.count_event(StreamEvent(b"", bool(failure.said), failure.said, usage=failure.usage))

    def used(
        self, needs: RequestNeeds, model: ModelSpec, failure: ProviderFailure | None, *, ended: bool = True
    ) -> Usage:
        """The provider's report if it is plausible, else what was received; never zero if it may have cost something.
        ended: False if the app disconnected before the end."""
        usage = self._tokens(needs, model, failure, ended=ended)
        if model.pricing.tiers:
            usage = settlement.in_tier(usage, needs, model)
        counted = usage.units or needs.units or needs.images or needs.attached or needs.costly
        return settlement.in_units(usage, needs, model) if counted else usage

    def _tokens(self, needs: RequestNeeds, model: ModelSpec, failure: ProviderFailure | None, *, ended: bool) -> Usage:
        reported = self._reported
        if reported is not None and failure is not None and failure.part:
            return reported
        if reported is not None and settlement.lacks_tokens(reported, needs, model):
            counted = settlement.used(failure, needs, model, Received(self._size), ended=ended)
            return replace(counted, units=reported.units, kind=reported.kind, tier=reported.tier)
        if reported is not None and not self._events and settlement.may_be_true(reported, needs, model, self._size):
            return reported
        text = "".join(self._text) if self.body is None else self._app.answer_text(self.body)
        received = Received.of(text, self._events, count_text(model.vocabulary, text), self._thought)
        if reported is None:
            return settlement.used(failure, needs, model, received, ended=ended)
        # A report in the middle of a stream, and what came after it.
        more = settlement.used(None, needs, model, received).output_tokens if self._events else 0
        whole = received if self.body is not None else Received(self._size, thought=self._thought)
        usage, self.replaced = settlement.read(reported, needs, model, whole)
        return replace(usage, output_tokens=usage.output_tokens + more) if more else usage


def _joined(before: Usage | None, now: Usage) -> Usage:
    """A stream's later report includes its earlier ones; but some report the prompt at the beginning and the rest at
    the end."""
    if before is None or (now.input_tokens and now.output_tokens):
        return now
    return Usage(
        now.input_tokens or before.input_tokens,
        now.output_tokens or before.output_tokens,
        now.cached_tokens or before.cached_tokens,
        before.written_tokens if now.written_tokens is None else now.written_tokens,
        now.units or before.units,
        now.reasoning_tokens or before.reasoning_tokens,
        before.lasting_tokens if now.lasting_tokens is None else now.lasting_tokens,
        now.kind or before.kind,
        now.tier or before.tier,
    )
