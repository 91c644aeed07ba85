"""What of a stream has reached the app: one stream to the app, however many attempts it takes.

Owns: the text delivered so far, the identity of the app's stream, and the seam where another model goes on.
Must never: hold a whole stream's events, only its text; decide who goes on (`routing/plan.py`).

Rule: spec/routing.md, Streams. A stream that another model takes up keeps the id it had; what that model repeats of
the text so far is dropped; the app gets one usage report. Where a part of the answer is more than text (a tool call,
several choices, a response format) nobody can go on in the middle of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.cdk.provider import Operation, StreamEvent, Usage
from meshd.gateway.exchange import Exchange
from meshd.routing.needs import Needs
from meshd.routing.table import StreamPolicy

LONGEST_OVERLAP = 400
"""Characters at the end of the text so far that another model may repeat before it goes on."""
_IDENTITY = ("id", "created", "model", "object", "system_fingerprint", "service_tier")


class Delivery:
    """pieces: of content the app has. usage: of the attempts that ended before the present one."""

    def __init__(self, exchange: Exchange, operation: Operation, needs: Needs) -> None:
        self.pieces = 0
        self.continued = 0
        self._exchange = exchange
        self._operation = operation
        self._needs = needs
        self._text: list[str] = []
        self._more_than_text = False
        self._first: bytes | None = None
        self._splice: _Splice | None = None
        self._used = Usage()

    @property
    def begun(self) -> bool:
        return self._first is not None

    @property
    def text(self) -> str:
        return "".join(self._text)

    async def send(self, event: StreamEvent) -> None:
        """Pass one event on. Raises ClientGone, TimeoutError."""
        if self._splice is None:
            await self._chunk(event.data)
            if event.content:
                self.pieces += 1
                self._text.append(event.text)
                self._more_than_text = self._more_than_text or not event.text
            return
        for data, text in self._splice.take(event, self._used):
            await self._chunk(data)
            self.pieces += bool(text)
            self._text.append(text)

    async def finish(self) -> None:
        """The stream ended: what was held back to be compared goes out."""
        if self._splice is not None:
            for data, text in self._splice.rest():
                await self._chunk(data)
                self._text.append(text)

    def cannot_continue(self, policy: StreamPolicy) -> str:
        """Why another model cannot go on, "" when it can."""
        needs = self._needs
        if policy.on_failure == "terminate":
            return "stream.on_failure is terminate"
        if needs.choices > 1:
            return "several choices were asked for"
        if needs.structured or needs.json_mode:
            return "a response format was asked for"
        if needs.logprobs:
            return "log probabilities were asked for"
        if self._more_than_text:
            return "a part of the answer is more than text"
        return ""

    def go_on(self) -> None:
        """The next attempt takes the stream up where it is."""
        self.continued += 1
        assert self._first is not None, "nothing was delivered"
        self._splice = _Splice(self._first, self.text, self._operation)

    def add_usage(self, usage: Usage) -> None:
        """Of an attempt that ended in the middle: its output is a part of the answer."""
        before = self._used
        # The prompt is the app's once, whoever read it; what was generated adds up.
        self._used = Usage(
            before.input_tokens or usage.input_tokens,
            before.output_tokens + usage.output_tokens,
            before.cached_tokens or usage.cached_tokens,
        )

    def total(self, last: Usage) -> Usage:
        """The one usage of the app's stream."""
        return merged(self._used, last) if self.continued else last

    async def _chunk(self, data: bytes) -> None:
        if self._first is None:
            self._first = data
        await self._exchange.chunk(data)


def merged(before: Usage, last: Usage) -> Usage:
    return Usage(before.input_tokens, before.output_tokens + last.output_tokens, before.cached_tokens)


class _Splice:
    """The seam: makes another model's events look like the rest of the first one's.

    Its first text is held back until it cannot be a repetition of the end of the text so far any more.
    """

    def __init__(self, first: bytes, text: str, operation: Operation) -> None:
        said: dict[str, Any] = msgspec.json.decode(first)
        self._identity = {name: said[name] for name in _IDENTITY if name in said}
        self._tail = text[-LONGEST_OVERLAP:]
        self._whole = text
        self._operation = operation
        self._held: str | None = ""

    def take(self, event: StreamEvent, used: Usage) -> list[tuple[bytes, str]]:
        """(chunk, its text) to send for an event."""
        chunk: dict[str, Any] = msgspec.json.decode(event.data)
        chunk.update(self._identity)
        if isinstance(chunk.get("usage"), dict) and event.usage is not None:
            chunk["usage"] = usage_map(merged(used, event.usage))
        ready: list[tuple[bytes, str]] = []
        text = event.text
        if self._held is not None and (text or event.finish_reason is not None):
            self._held += text
            last = event.finish_reason is not None
            if not last and self._may_still_repeat(self._held):
                return []
            text = self._new(self._held)
            self._held = None
        elif self._held is not None and event.content:
            return []  # it thinks again; the app has read that already
        if text != event.text:
            _set_text(chunk, text)
        if not text and event.finish_reason is None and chunk.get("choices"):
            return ready  # a role, or nothing: the app's stream has begun long ago
        ready.append((msgspec.json.encode(chunk), text))
        return ready

    def rest(self) -> list[tuple[bytes, str]]:
        """What is held at the end of a stream that gave no finish reason."""
        if not self._held:
            return []
        text, self._held = self._new(self._held), None
        if not text:
            return []
        choice: Mapping[str, Any] = (
            {"index": 0, "text": text, "finish_reason": None}
            if self._operation is Operation.COMPLETION
            else {"index": 0, "delta": {"content": text}, "finish_reason": None}
        )
        return [(msgspec.json.encode({**self._identity, "choices": [choice]}), text)]

    def _new(self, held: str) -> str:
        """What of it is not a repetition."""
        if held.startswith(self._whole):
            return held[len(self._whole) :]
        return held[_overlap(self._tail, held) :]

    def _may_still_repeat(self, held: str) -> bool:
        """Whether what comes next could show that `held` repeats the end, or the whole, of the text so far."""
        begins_anew = len(held) < len(self._whole) and self._whole.startswith(held)
        return begins_anew or (len(held) < len(self._tail) and held in self._tail)


def _overlap(tail: str, text: str) -> int:
    """How many characters at the beginning of `text` repeat the end of `tail`."""
    for length in range(min(len(tail), len(text)), _SHORTEST_OVERLAP - 1, -1):
        if tail.endswith(text[:length]):
            return length
    return 0


_SHORTEST_OVERLAP = 8
"""Characters. A shorter one ("the ", a space) is as likely to be what comes next."""


def _set_text(chunk: dict[str, Any], text: str) -> None:
    for choice in chunk.get("choices") or ():
        if isinstance(choice.get("delta"), dict):
            choice["delta"]["content"] = text
        elif "text" in choice:
            choice["text"] = text


def usage_map(usage: Usage) -> dict[str, Any]:
    """In OpenAI's names."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
