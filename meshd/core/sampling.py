"""Which requests are traced, and which of their calls.

Owns: reading `traceparent` and `tracestate`, and the decision. Must never: trust a header beyond its form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from meshd.core.tracing import Trace
from meshd.sdk.calls.tracing import CallTrace

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_STATE: Final = re.compile(r"[\x20-\x7e]{1,512}\Z")
_NONE: Final = re.compile(r"0+\Z")
_FRESH: Final = Trace()
_POOL: Final = 4096
"""Random bytes that are made at once, for 170 requests."""


class Sampling:
    """ratio: of new traces. follow: an app that says whether its trace is recorded decides for the mesh too. sent_on:
    the providers that are told of traces; `*`: all. on: whether any of this is wanted."""

    __slots__ = ("_digits", "_follow", "_ratio", "_sent_on", "_used", "_usual", "on")

    def __init__(
        self, on: bool = False, ratio: float = 1.0, follow: bool = True, sent_on: frozenset[str] = frozenset()
    ) -> None:
        self.on: Final = on
        self._ratio: Final = ratio
        self._follow: Final = follow
        self._sent_on: Final = sent_on
        self._usual: Final = ratio >= 1.0 and not sent_on  # the ids of new traces are not needed here
        self._digits = ""
        self._used = 0

    def calls(self, trace: Trace, provider: str, began: float) -> CallTrace | None:
        """For an attempt at the provider; None if its calls are not recorded, and it is told of no trace. began: by
        `meshd.host.clock`."""
        told = self._sent_on
        sent_on = bool(told) and (provider in told or "*" in told)
        sampled = trace.sampled
        if not (sampled or sent_on):
            return None
        return CallTrace(trace.trace_id, trace.state, sampled, sent_on, began)

    def begin(self, headers: Mapping[str, str]) -> Trace:
        """headers: the app's, by lower-case name."""
        parent = headers.get("traceparent")
        given = _parent(parent) if parent else None
        if given is None:
            if self._usual:
                return _FRESH
            trace_id = self._random(32)
            return Trace(trace_id, self._random(16), "", "", self._ratio >= 1.0 or self._takes(trace_id))
        trace_id, parent_id, flag = given
        state = headers.get("tracestate", "")
        return Trace(
            trace_id,
            self._random(16),
            parent_id,
            state if _STATE.match(state) else "",
            flag if self._follow else self._takes(trace_id),
        )

    def _random(self, digits: int) -> str:
        """So many hexadecimal digits."""
        begin = self._used
        end = begin + digits
        if end > len(self._digits):
            self._digits, begin, end = os.urandom(_POOL).hex(), 0, digits
        self._used = end
        return self._digits[begin:end]

    def _takes(self, trace_id: str) -> bool:
        """The same for every part of a trace."""
        return int(trace_id[16:], 16) < self._ratio * 2.0**64


def _parent(text: str) -> tuple[str, str, bool] | None:
    """(trace id, span id, sampled); None if it is not valid."""
    found = _PARENT.match(text.strip()) if len(text) <= 256 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or _NONE.match(trace_id) or _NONE.match(span_id):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)
