"""What the daemon tells the process that exports: its settings at first, then batches.

Owns: these records, as msgpack has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.core.events.records import Outcome
from meshd.sdk.metrics import Reading
from meshd.sdk.observability import Entry
from meshd.telemetry.metrics.names import Names

ENDED = "ended"
"""The stream of entries with an encoded list of `Ended`, their `count`, and the `Names` to show them with."""

MOST_POSTED = 512 * 1024
"""Bytes of records in a post, unless one part has more: nginx takes a MiB unless it is told otherwise."""

encode = msgspec.msgpack.Encoder().encode


class Ended(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An ended request, redacted. traced, logged: whether it is to have spans, and a log record. said: attributes with
    what was asked and answered, for the spans. content: the same, for the log record."""

    outcome: Outcome
    traced: bool
    logged: bool
    said: Mapping[str, str] = {}
    content: Mapping[str, Any] = {}


decode_ended = msgspec.msgpack.Decoder(tuple[Ended, ...]).decode


class Told(msgspec.Struct, frozen=True):
    """A batch. ahead: how far the wall clock is ahead of the clock by which requests are timed, in seconds. ended,
    entries and reading: encoded records (lists of `Ended`, `Entry`, `Reading`)."""

    ahead: float
    names: Names = Names()
    ended: tuple[msgspec.Raw, ...] = ()
    entries: tuple[msgspec.Raw, ...] = ()
    reading: msgspec.Raw | None = None


class Batch(msgspec.Struct, frozen=True):
    """`Told`, as it is read. ended: decoded by `decode_ended`, one after the other, which takes less
    memory."""

    ahead: float
    names: Names = Names()
    ended: tuple[msgspec.Raw, ...] = ()
    entries: tuple[Entry, ...] = ()
    reading: Reading | None = None


class Result(msgspec.Struct, frozen=True):
    """How sending a batch ended. failed: why the receiver could not take it now; "": it did. after: seconds that the
    receiver asked to wait, 0: it did not say. dropped: records that it refused for good, and why."""

    failed: str = ""
    after: float = 0.0
    dropped: int = 0
    refused: str = ""
