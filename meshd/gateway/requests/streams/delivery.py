"""The part of a stream that has reached the app, which sees one stream however many attempts it takes.

Owns: the text delivered so far, the identity of the app's stream, and the point at which another model continues.
Must never: hold a whole stream's events, only its text; decide which model continues (`routing/attempts/plan.py`).

Rule: docs/routing.md, Streams continued elsewhere. A stream that another model continues keeps its id; what that model
repeats is dropped; the app gets one usage report. An answer that is more than text (a tool call, several choices, a
response format) cannot be continued by another model.
"""

from __future__ import annotations

from typing import NamedTuple

from meshd.core.needs import RequestNeeds
from meshd.formats.openai.format import OPENAI
from meshd.formats.protocol import AppSide, Seam
from meshd.gateway.frontends.exchange import Reply
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.table.policies import StreamPolicy
from meshd.sdk.provider import OperationSpec, StreamEvent, Usage
from meshd.sdk.reading import lenient

LONGEST_OVERLAP = 400
"""Characters at the end of the text so far that another model may repeat before it continues."""
_SHORTEST_OVERLAP = 8
"""In characters. A shorter repetition ("the ", a space) may just as well be new text."""


class Passed(NamedTuple):
    """A chunk that goes to the app, the text in it, and the chunks that have to go before it."""

    data: bytes
    text: str
    before: tuple[bytes, ...] = ()


class Delivery:
    """reply: the app's. pieces: how many pieces of content the app has got. usage: that of earlier attempts."""

    def __init__(self, reply: Reply, operation: OperationSpec, needs: RequestNeeds, app: AppSide = OPENAI.app) -> None:
        self.pieces = 0
        self.continued = 0
        self.reply = reply
        self._operation = operation
        self._needs = needs
        self._app = app
        self._text: list[str] = []
        self._more_than_text = False
        self._first = b""  # the chunk that the app got first
        self._last = b""  # the chunk that the app got last
        self._splice: _Splice | None = None
        self._used = Usage()
        self._seam = 0  # pieces of text when the current attempt began

    @property
    def begun(self) -> bool:
        return bool(self._first)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def text_since(self) -> str:
        """What the current attempt has added."""
        return "".join(self._text[self._seam :])

    def begins(self, step: AttemptStep) -> None:
        """This attempt has content. The app's first chunk names its model."""
        model, pool = step.model, step.pool.name
        if not self.begun:
            known = {"pool": pool, "model": model.id, "provider": model.provider, "attempts": step.number}
            self.reply.begins(known)

    async def send(self, event: StreamEvent) -> None:
        """Pass one event on. Raises ClientGone, TimeoutError."""
        if self._splice is None:
            data, text = event.data, event.text
            self._first = self._first or data
        else:
            passed = self._splice.take(event, self._used)
            if passed is None:
                return
            data, text, before = passed
            for each in before:
                await self.reply.chunk(each)
        if event.content_type:
            self.reply.file = event.content_type
        await self.reply.chunk(data)
        self._sent(event, data, text)

    def send_now(self, event: StreamEvent) -> bool:
        """The same, if the event can be sent as it is and at once; else False. Raises ClientGone."""
        if self._splice is not None or not self._first or not self.reply.chunk_now(event.data):
            return False
        self._sent(event, event.data, event.text)
        return True

    def _sent(self, event: StreamEvent, data: bytes, text: str) -> None:
        self._last = data
        if text or event.content:
            self.pieces += 1
            self._text.append(text)
            self._more_than_text = self._more_than_text or bool(event.extra)

    async def finish(self) -> None:
        """The stream ended: send what was held back for comparison."""
        for passed in self._splice.rest(self._used) if self._splice is not None else ():
            for each in passed.before:
                await self.reply.chunk(each)
            await self.reply.chunk(passed.data)
            self._last = passed.data
            if passed.text:
                self.pieces += 1
                self._text.append(passed.text)

    def cannot_continue(self, policy: StreamPolicy) -> str:
        """Why another model cannot continue, "" if it can."""
        needs = self._needs
        if not needs.operation.continued:
            return f"{needs.operation} cannot be continued"
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
        """The next attempt continues the stream from here."""
        self.continued += 1
        self._seam = len(self._text)
        text = lenient.well_formed(self.text)
        seam = self._app.seam(self._first, self._operation, self._last, text)
        self._splice = _Splice(seam, text)

    def add_usage(self, usage: Usage) -> None:
        """For an attempt that ended in the middle: its output is part of the answer."""
        self._used = merged(self._used, usage)

    def total(self, last: Usage) -> Usage:
        """The one usage of the app's stream."""
        return merged(self._used, last) if self.continued else last


def merged(before: Usage, last: Usage) -> Usage:
    """The app's prompt counts once, however many models read it; everything else adds up."""
    prompt = before if before.input_tokens else last
    units = dict(before.units)
    for name, count in last.units:
        units[name] = units.get(name, 0) + count
    return Usage(
        prompt.input_tokens,
        before.output_tokens + last.output_tokens,
        prompt.cached_tokens,
        prompt.written_tokens,
        tuple(units.items()),
        before.reasoning_tokens + last.reasoning_tokens,
        prompt.lasting_tokens,
    )


class _Splice:
    """Joins another model's events to the first one's.

    Its first text is held back while it may still be a repetition of the text so far, or of its end.
    """

    def __init__(self, seam: Seam, text: str) -> None:
        self._seam = seam
        self._tail = text[-LONGEST_OVERLAP:]
        self._whole = text
        self._held: list[str] | None = []
        self._ending: list[StreamEvent] = []  # a finish reason that came while text is held, and what came with it
        self._size = 0  # characters held
        self._anew = True  # the held text begins like the whole text, so far

    def take(self, event: StreamEvent, used: Usage) -> Passed | None:
        """What to send for an event."""
        text = event.text
        if self._held is not None:
            if text:
                self._hold(text)
            if event.content:
                self._ending.clear()  # it was not the end
            if event.extra or (text and not self._may_still_repeat()):
                text = self._let_go()
            elif event.finish_reason is not None or (self._ending and not event.content):
                self._ending.append(event)  # some servers send it before all of the text
                return None
            elif self._seam.hold(event) or event.content:
                return None  # also for repeated reasoning, which the app has already
        return self._passed(event, text, used)

    def rest(self, used: Usage) -> list[Passed]:
        """What is still held at the end of the stream: text, then the finish reason and what came with it."""
        if self._held is None:
            return []
        ending, self._ending = self._ending, []
        text = self._let_go(cut_off=any(event.finish_reason == "length" for event in ending))
        said = [self._said(text)] if text else []
        shaped = [self._passed(event, "", used) for event in ending]
        return [*said, *(passed for passed in shaped if passed is not None)]

    def _passed(self, event: StreamEvent, text: str, used: Usage) -> Passed | None:
        usage = None if event.usage is None else merged(used, event.usage)
        data = self._seam.event(event, text, usage)
        return None if data is None else Passed(data, text, tuple(self._seam.before()))

    def _said(self, text: str) -> Passed:
        """An event with only text."""
        data = self._seam.text(text)
        return Passed(data, text, tuple(self._seam.before()))

    def _hold(self, text: str) -> None:
        assert self._held is not None
        self._anew = self._anew and text.startswith(self._whole[self._size : self._size + len(text)])
        self._held.append(text)
        self._size += len(text)

    def _may_still_repeat(self) -> bool:
        """Whether more text could show that the held text repeats the end, or the whole, of the text so far."""
        assert self._held is not None
        if self._anew and self._size < len(self._whole):
            return True
        return self._size < len(self._tail) and "".join(self._held) in self._tail

    def _let_go(self, cut_off: bool = False) -> str:
        """The part that is not a repetition. cut_off: an output limit ended it, perhaps in the middle of one."""
        held, self._held = "".join(self._held or ()), None
        if self._anew and (cut_off or self._size >= min(len(self._whole), _SHORTEST_OVERLAP)):
            self._seam.starts_at(0)
            return held[len(self._whole) :]  # if it contained new text
        repeated = _overlap(self._tail, held)
        self._seam.starts_at(len(self._whole) - repeated)
        return held[repeated:]


def _overlap(tail: str, text: str) -> int:
    """The number of characters at the beginning of `text` that repeat the end of `tail`."""
    for length in range(min(len(tail), len(text)), _SHORTEST_OVERLAP - 1, -1):
        if tail.endswith(text[:length]):
            return length
    return 0
