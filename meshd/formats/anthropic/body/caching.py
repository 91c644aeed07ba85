"""Marks for the prompt cache, for apps that set none.

Owns: where they are set: after the tools, after the system prompt, and after the last two turns of the user. The mark
of the second-last turn finds what the last request wrote. Must never: touch a request that has marks of its own, or set
more than four, the API's limit.

https://docs.claude.com/en/docs/build-with-claude/prompt-caching, 2026-11-28
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole

TURNS = 2
_MARK = msgspec.Raw(b'{"type":"ephemeral"}')
_OWN = re.compile(rb'(?<!\\)"cache_control"\s*:')
_MARKED = frozenset({b'"text"', b'"image"', b'"document"', b'"tool_use"', b'"tool_result"'})
"""Types of blocks that may have one. Reasoning may not."""
_EMPTY = re.compile(rb'"(?:\s|\\[nrt])*"')
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def with_marks(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The request's top level with marks; the same if it has some, or cannot be read."""
    parts = {name: bytes(fields[name]) for name in ("tools", "system", "messages") if name in fields}
    if "cache_control" in fields or any(map(_OWN.search, parts.values())):
        return fields
    made = dict(fields)
    try:
        for name, raw in parts.items():
            marked = _MARKS[name](raw)
            if marked is not None:
                made[name] = msgspec.Raw(marked)
    except UNREADABLE:
        return fields
    return made


def _tools(raw: bytes) -> bytes | None:
    """Marks the last tool that is sent with the request: tools that load later cannot be cached."""
    tools = _list(whole(raw))
    for at in range(len(tools) - 1, -1, -1):
        tool = _object(tools[at])
        if bytes(tool.get("defer_loading", b"")) != b"true":
            return _replaced(tools, at, tool)
    return None


def _system(raw: bytes) -> bytes | None:
    return _content(whole(raw).strip())


def _messages(raw: bytes) -> bytes | None:
    messages = _list(whole(raw))
    turns = 0
    for at in range(len(messages) - 1, -1, -1):
        message = _object(messages[at])
        if bytes(message.get("role", b"")) != b'"user"' or turns == TURNS:
            continue
        content = _content(bytes(message.get("content", b"")).strip())
        if content is not None:
            messages[at] = msgspec.Raw(_encode({**message, "content": msgspec.Raw(content)}))
            turns += 1
    return _encode(messages) if turns else None


_MARKS = {"tools": _tools, "system": _system, "messages": _messages}


def _content(raw: bytes) -> bytes | None:
    """A text or a list of blocks, marked at its end."""
    if raw.startswith(b'"'):
        return (
            None if _EMPTY.fullmatch(raw) else b'[{"type":"text","text":%b,"cache_control":%b}]' % (raw, bytes(_MARK))
        )
    if not raw.startswith(b"["):
        return None
    blocks = _list(raw)
    for at in range(len(blocks) - 1, -1, -1):
        block = _object(blocks[at])
        if bytes(block.get("type", b"")) in _MARKED and not _EMPTY.fullmatch(bytes(block.get("text", b"x"))):
            return _replaced(blocks, at, block)
    return None


def _replaced(items: list[msgspec.Raw], at: int, item: dict[str, msgspec.Raw]) -> bytes:
    items[at] = msgspec.Raw(_encode({**item, "cache_control": _MARK}))
    return _encode(items)
