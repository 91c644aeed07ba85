"""A streamed message: events of records as its own.

Owns: opening and closing blocks, one at a time, with numbers that count up. Parallel calls whose pieces come
interleaved wait until the open one is complete.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN
from meshd.formats.anthropic.conversation.answer import message_head, written_finish
from meshd.formats.anthropic.conversation.citations import written_citations
from meshd.formats.anthropic.conversation.content import FORMAT, as_input
from meshd.formats.anthropic.usage import usage_map
from meshd.formats.conversation.answer import Finish
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.events import (
    AudioDelta,
    Began,
    CallBegan,
    CallDelta,
    Cited,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Unread,
    Used,
)
from meshd.formats.conversation.parts import Part, Reasoning, Refusal, ToolCall
from meshd.formats.conversation.seals import sealed
from meshd.sdk.provider import Usage
from meshd.sdk.reading.lenient import UNREADABLE

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_Key = tuple[str, object]


class _Block:
    """key: tells which events belong to it. deltas: those that wait. arguments: those of a call; as_one: they are not
    an object, and are written as one when the block closes."""

    def __init__(self, key: _Key, start: dict[str, Any]) -> None:
        self.key = key
        self.start = start
        self.deltas: list[dict[str, Any]] = []
        self.arguments: list[str] = []
        self.is_call = key[0] == "call"
        self.is_text = key[0] == "text"
        self.as_one: bool | None = None  # None: not known yet

    def piece(self, text: str) -> str:
        """What to write of a call's arguments now."""
        self.arguments.append(text)
        if self.as_one is None:
            begun = "".join(self.arguments).lstrip()
            if not begun:
                return ""
            self.as_one = begun[0] != "{"
            text = "" if self.as_one else begun
        return "" if self.as_one else text

    def is_whole(self) -> bool:
        """Whether nothing more of it can come."""
        if not self.is_call:
            return True
        if self.as_one or not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            _decode("".join(self.arguments))
        except UNREADABLE:
            return False
        return True


class MessageWriter:
    """Writes one stream to an app. input_tokens: those of its request, for as long as the provider has not reported
    them."""

    def __init__(self, input_tokens: int = 0) -> None:
        self._input_tokens = input_tokens
        self._began = Began()
        self._started = False
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._index = -1  # of the block that was opened last
        self._open: _Block | None = None
        self._waiting: list[_Block] = []
        self._size = 0  # characters of text written
        self._said: list[Part] = []  # one part of each kind that occurred, for the stop reason
        self._calls: set[int] = set()

    def write(self, event: Event) -> list[bytes]:
        match event:
            case Began():
                self._began = event
                return []
            case Used():
                self._usage = event.usage
                return []
            case Unread():
                return self._unread(event)
        if event.choice:
            return []  # only one can be asked for
        match event:
            case Finished():
                self._finished = event
                return []
            case Cited():
                return self._cite(event.citation)
            case TextDelta():
                return self._text(event.text, event.block)
            case ReasoningDelta():
                return self._reasoning(event)
            case RefusalDelta():
                self._note(Refusal(""))
                return self._text(event.text, "refusal")
            case AudioDelta():
                return self._text(event.transcript, "audio")
            case CallBegan():
                return self._call_began(event)
            case CallDelta():
                return self._call_delta(event)

    def end(self) -> list[bytes]:
        """The rest of the blocks, and the message's own end."""
        made = self._start()
        while True:
            made += self._close()
            if not self._waiting:
                break
            made += self._open_block(self._waiting.pop(0))
        finished = self._finished or Finished(Finish.STOP)
        delta = {
            "stop_reason": written_finish(finished.finish, tuple(self._said)),
            "stop_sequence": finished.sequence or None,
        }
        made.append(_encode({"type": "message_delta", "delta": delta, "usage": self._report()}))
        made.append(_encode({"type": "message_stop"}))
        return made

    def _report(self) -> dict[str, Any]:
        """The usage of the whole answer, estimated if the provider reports none."""
        usage = self._usage or Usage(self._input_tokens, -(-self._size // BYTES_PER_TOKEN))
        if not usage.input_tokens:
            usage = msgspec.structs.replace(usage, input_tokens=self._input_tokens)
        return usage_map(usage)

    def _start(self) -> list[bytes]:
        if self._started:
            return []
        self._started = True
        usage = self._usage or Usage(self._input_tokens)
        if not usage.input_tokens:
            usage = msgspec.structs.replace(usage, input_tokens=self._input_tokens)
        message = {
            **message_head(self._began.id, self._began.model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_map(usage),
        }
        return [_encode({"type": "message_start", "message": message})]

    def _note(self, part: Part) -> None:
        if not any(isinstance(said, type(part)) for said in self._said):
            self._said.append(part)

    def _text(self, text: str, block: object) -> list[bytes]:
        if not text:
            return []
        self._size += len(text)
        block_of = self._block(("text", block), {"type": "text", "text": ""})
        return self._put(block_of, {"type": "text_delta", "text": text})

    def _cite(self, citation: Citation) -> list[bytes]:
        """The whole last block of text cites it, and what follows is another block. Left out if no block is open."""
        last = next((block for block in (*reversed(self._waiting), self._open) if block and block.is_text), None)
        made: list[bytes] = []
        for cited in written_citations([citation]) if last is not None else ():
            assert last is not None
            made += self._put(last, {"type": "citations_delta", "citation": cited})
            last.key = ("cited", last)
        return made

    def _reasoning(self, event: ReasoningDelta) -> list[bytes]:
        self._size += len(event.text)
        made: list[bytes] = []
        if event.encrypted and not event.id:
            start = {"type": "redacted_thinking", "data": event.encrypted}
            made += self._put(_Block(("redacted", object()), start), None)
        seal = sealed(Reasoning("", event.signature, event.encrypted, event.id), of_items=False)
        for name, value in (("thinking", event.text), ("signature", seal)):
            if value:
                block = self._block(("thinking", event.block), {"type": "thinking", "thinking": "", "signature": ""})
                made += self._put(block, {"type": f"{name}_delta", name: value})
        return made

    def _call_began(self, event: CallBegan) -> list[bytes]:
        self._note(ToolCall("", ""))
        self._calls.add(event.call)
        id = event.id or f"toolu_{message_head('', '')['id'][4:]}"
        start = {"type": "tool_use", "id": id, "name": event.name, "input": {}}
        return self._put(_Block(("call", event.call), start), None)

    def _call_delta(self, event: CallDelta) -> list[bytes]:
        self._size += len(event.arguments)
        key = ("call", event.call)
        made = [] if event.call in self._calls else self._call_began(CallBegan(event.call))
        block = self._known(key)
        if block is None:  # it was whole, and closed
            return made
        piece = block.piece(event.arguments)
        delta = {"type": "input_json_delta", "partial_json": piece}
        return made + self._put(block, delta if piece else None)

    def _known(self, key: _Key) -> _Block | None:
        if self._open is not None and self._open.key == key:
            return self._open
        return next((block for block in self._waiting if block.key == key), None)

    def _block(self, key: _Key, start: dict[str, Any]) -> _Block:
        return self._known(key) or _Block(key, start)

    def _put(self, block: _Block, delta: dict[str, Any] | None) -> list[bytes]:
        """Write a piece of a block, which may be new, or keep the piece until that block is open."""
        made = self._start()
        if block is self._open:
            if delta is not None:
                made.append(self._delta(delta))
            return made + (self._go_on() if self._waiting else [])
        if delta is not None:
            block.deltas.append(delta)
        if block not in self._waiting:
            self._waiting.append(block)
        return made + self._go_on()

    def _go_on(self) -> list[bytes]:
        """Open the blocks that wait, one after another, as long as the open one is complete."""
        made: list[bytes] = []
        while self._waiting and (self._open is None or self._open.is_whole()):
            made += self._close()
            made += self._open_block(self._waiting.pop(0))
        return made

    def _open_block(self, block: _Block) -> list[bytes]:
        self._index += 1
        self._open = block
        start = {"type": "content_block_start", "index": self._index, "content_block": block.start}
        return [_encode(start), *(self._delta(delta) for delta in block.deltas)]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _encode({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self) -> list[bytes]:
        block, self._open = self._open, None
        if block is None:
            return []
        made: list[bytes] = []
        if block.as_one:
            text = _encode(as_input("".join(block.arguments))).decode()
            made.append(self._delta({"type": "input_json_delta", "partial_json": text}))
        made.append(_encode({"type": "content_block_stop", "index": self._index}))
        return made

    def _unread(self, event: Unread) -> list[bytes]:
        """A block that only this format has, as it came in another stream of this format."""
        if event.original.format != FORMAT or event.choice != 0:
            return []
        said = _decode(event.original.json)
        key = ("other", said.get("index"))
        if said.get("type") == "content_block_start":
            return self._put(_Block(key, said.get("content_block")), None)
        delta = said.get("delta")
        if not isinstance(delta, dict):
            return []
        block = self._known(key)
        return [] if block is None else self._put(block, delta)
