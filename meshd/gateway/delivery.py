"""What of a stream has reached the app: one stream to the app, however many attempts it takes.

Owns: the text delivered so far, the identity of the app's stream, and the seam where another model goes on.
Must never: hold a whole stream's events, only its text; decide who goes on (`routing/plan.py`).

Rule: spec/routing.md, Streams. A stream that another model takes up keeps the id it had; what that model repeats of
the text so far is dropped; the app gets one usage report. Where a part of the answer is more than text (a tool call,
several choices, a response format) no other model can continue in the middle of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshd.cdk import lenient
from meshd.cdk.provider import Operation, StreamEvent, Usage
from meshd.gateway.exchange import Exchange
from meshd.routing.needs import Needs
from meshd.routing.table import StreamPolicy

LONGEST_OVERLAP = 400
"""Characters at the end of the text so far that another model may repeat before it goes on."""
_SHORTEST_OVERLAP = 8
"""Characters. A shorter one ("the ", a space) is as likely to be what comes next."""
_IDENTITY = ("id", "created", "model", "object", "system_fingerprint", "service_tier")


class Passed(NamedTuple):
    """A chunk that goes to the app, and the text in it."""

    data: bytes
    text: str


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
        self._identity: bytes | None = None  # the chunk that the stream's id is in
        self._splice: _Splice | None = None
        self._used = Usage()
        self._seam = 0  # pieces of the text there were when the present attempt began

    @property
    def begun(self) -> bool:
        return self._identity is not None

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def text_since(self) -> str:
        """What the present attempt has added to it."""
        return "".join(self._text[self._seam :])

    async def send(self, event: StreamEvent) -> None:
        """Pass one event on. Raises ClientGone, TimeoutError."""
        if self._splice is None:
            if self._identity is None and (event.content or event.finish_reason is not None):
                self._identity = event.data  # not an earlier one: Azure begins with a chunk that has no id
            data, text = event.data, event.text
        else:
            passed = self._splice.take(event, self._used)
            if passed is None:
                return
            data, text = passed
        await self._exchange.chunk(data)
        if text or event.content:
            self.pieces += 1
            self._text.append(text)
            self._more_than_text = self._more_than_text or bool(event.extra)

    async def finish(self) -> None:
        """The stream ended: what was held back to be compared goes out."""
        for passed in self._splice.rest(self._used) if self._splice is not None else ():
            await self._exchange.chunk(passed.data)
            if passed.text:
                self.pieces += 1
                self._text.append(passed.text)

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
        assert self._identity is not None, "nothing was delivered"
        self._seam = len(self._text)
        self._splice = _Splice(self._identity, lenient.well_formed(self.text), self._operation)

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


def merged(before: Usage, last: Usage) -> Usage:
    return Usage(before.input_tokens, before.output_tokens + last.output_tokens, before.cached_tokens)


class _Splice:
    """The seam: makes another model's events look like the rest of the first one's.

    Its first text is held back until it cannot be a repetition of the text so far, or of its end, any more.
    """

    def __init__(self, first: bytes, text: str, operation: Operation) -> None:
        said = _object(first)
        self._identity = {name: said[name] for name in _IDENTITY if name in said}
        self._tail = text[-LONGEST_OVERLAP:]
        self._whole = text
        self._operation = operation
        self._held: list[str] | None = []
        self._ending: list[StreamEvent] = []  # a finish reason while text is held, and what came with it
        self._size = 0  # characters held
        self._anew = True  # what is held begins as the whole text does

    def take(self, event: StreamEvent, used: Usage) -> Passed | None:
        """What to send for an event."""
        text = event.text
        if self._held is not None:
            if text:
                self._hold(text)
            if event.content:
                self._ending.clear()  # it was none
            if event.extra or (text and not self._may_still_repeat()):
                text = self._let_go()
            elif event.finish_reason is not None or (self._ending and not event.content):
                self._ending.append(event)  # some servers say it before they have said all
                return None
            elif event.content:
                return None  # also where it thinks again: the app has read that already
        return self._passed(event, text, used)

    def rest(self, used: Usage) -> list[Passed]:
        """What is held at the end of the stream: text, then the finish reason and what came with it."""
        if self._held is None:
            return []
        ending, self._ending = self._ending, []
        text = self._let_go(cut_off=any(event.finish_reason == "length" for event in ending))
        shaped = (self._passed(event, "", used) for event in ending)
        return [*([self._said(text)] if text else ()), *(passed for passed in shaped if passed is not None)]

    def _passed(self, event: StreamEvent, text: str, used: Usage) -> Passed | None:
        chunk = _object(event.data)
        nothing = not text and not event.extra and event.finish_reason is None
        if nothing and (chunk.get("choices") or event.usage is None):
            return None  # a role, a preface, or nothing: the app's stream has begun long ago
        chunk.update(self._identity)
        if isinstance(chunk.get("usage"), dict) and event.usage is not None:
            chunk["usage"] = usage_map(merged(used, event.usage))
        for choice in _choices(chunk):
            if isinstance(choice.get("delta"), dict):
                choice["delta"].pop("role", None)  # it was said at the stream's beginning
        if text != event.text:
            _set_text(chunk, text)
        return Passed(lenient.encode(chunk), text)

    def _said(self, text: str) -> Passed:
        """A chunk of text alone."""
        choice: Mapping[str, Any] = (
            {"index": 0, "text": text, "finish_reason": None}
            if self._operation is Operation.COMPLETION
            else {"index": 0, "delta": {"content": text}, "finish_reason": None}
        )
        return Passed(lenient.encode({**self._identity, "choices": [choice]}), text)

    def _hold(self, text: str) -> None:
        assert self._held is not None
        self._anew = self._anew and text.startswith(self._whole[self._size : self._size + len(text)])
        self._held.append(text)
        self._size += len(text)

    def _may_still_repeat(self) -> bool:
        """Whether what comes next could show that what is held repeats the end, or the whole, of the text so far."""
        assert self._held is not None
        if self._anew and self._size < len(self._whole):
            return True
        return self._size < len(self._tail) and "".join(self._held) in self._tail

    def _let_go(self, cut_off: bool = False) -> str:
        """What of it is not a repetition. cut_off: an output limit ended it, perhaps in the middle of one."""
        held, self._held = "".join(self._held or ()), None
        if self._anew and self._size >= len(self._whole):
            return held[len(self._whole) :]
        if self._anew and (cut_off or self._size >= _SHORTEST_OVERLAP):
            return ""  # it never came to what is new
        return held[_overlap(self._tail, held) :]


def _overlap(tail: str, text: str) -> int:
    """How many characters at the beginning of `text` repeat the end of `tail`."""
    for length in range(min(len(tail), len(text)), _SHORTEST_OVERLAP - 1, -1):
        if tail.endswith(text[:length]):
            return length
    return 0


def _set_text(chunk: dict[str, Any], text: str) -> None:
    for choice in _choices(chunk):
        if isinstance(choice.get("delta"), dict):
            choice["delta"]["content"] = text
        elif "text" in choice:
            choice["text"] = text


def _object(data: bytes) -> dict[str, Any]:
    """A chunk, however oddly it is written."""
    chunk = lenient.decode(data)
    return chunk if isinstance(chunk, dict) else {}


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def usage_map(usage: Usage) -> dict[str, Any]:
    """In OpenAI's names."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
