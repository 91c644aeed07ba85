"""What may raise the price inside the messages, tools and inputs of a body.

Owns: the rules for what is inside a field (data: `known_fields.py`).
Must never: change what it reads; names are removed from a copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.core.needs import Caches
from meshd.sdk.reading.lenient import UNREADABLE, whole

_DATA_URL = re.compile(r"\s*data:([a-z]*)", re.IGNORECASE)
_SHORT = (None, "5m")
_MOST_NAMES = 16
_LONGEST = 60  # characters

maps = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_any = msgspec.json.Decoder()
_NULL = b"null"
_TEXT = msgspec.Raw(b'""')
LIST, MAP = b"[{"


class Inside(msgspec.Struct, frozen=True):
    """The names known inside a body. parts: kind → the names that such a part may have. files: kinds that some
    providers charge extra for. images: kinds of pictures. marks: names that mark what is to be written to a cache."""

    message: frozenset[str] = frozenset()
    parts: Mapping[str, frozenset[str]] = {}
    files: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    tool: frozenset[str] = frozenset()
    tool_kinds: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()

    # -- reading --------------------------------------------------------------------------------------

    def of(self, fields: Mapping[str, msgspec.Raw]) -> Found:
        """What is inside a chat's messages and tools."""
        found = Found()
        if "messages" in fields:
            self._of_messages(fields["messages"], found)
        for name in ("tools", "functions", "system"):
            if name in fields:
                self.mark_each(fields[name], found)
        return found

    def _of_messages(self, raw: msgspec.Raw, found: Found) -> None:
        try:
            messages = maps.decode(raw)
        except UNREADABLE:
            found.fixed.append("messages")
            return
        for message in messages:
            self.mark(message, found)
            if "tool_calls" in message:
                self.mark_each(message["tool_calls"], found)
            if not message.keys() <= self.message:
                found.unknown += [f"messages[].{name}" for name in message if self.counts(name, message)]
            content = message.get("content", _TEXT)
            first = memoryview(content)[0]
            if first == LIST:
                self.of_parts(bytes(content), found, "messages[].content")
            elif first == MAP:
                found.fixed.append("messages[].content")

    def counts(self, name: str, values: Mapping[str, msgspec.Raw], known: frozenset[str] | None = None) -> bool:
        known = self.message if known is None else known
        return name not in known and name not in self.marks and bytes(values[name]) != _NULL

    def of_parts(self, content: bytes, found: Found, place: str) -> None:
        """place: what the list is called in messages."""
        try:
            parts = maps.decode(content)
        except UNREADABLE:
            parts = _read(content)
            if not isinstance(parts, list) or any(not isinstance(part, str) for part in parts):
                found.fixed.append(place)
            return
        for part in parts:
            kind = text_of(part["type"]) if "type" in part else "text"
            known = self.parts.get(kind)
            if known is None:
                found.fixed.append(f"{place}[].{kind[:_LONGEST] or 'type'}")
                continue
            self.mark(part, found)
            found.files = found.files or kind in self.files
            if not part.keys() <= known:
                found.unknown += [f"{place}[].{name}" for name in part if self.counts(name, part, known)]
            if kind in self.images and not _is_picture(part):
                found.fixed.append(f"{place}[].{kind}")

    def own_tools(self, raw: msgspec.Raw) -> tuple[bool, list[msgspec.Raw]]:
        """(whether the app runs all of the tools, those that it runs)."""
        if bytes(raw) == _NULL:
            return True, []
        try:
            tools = msgspec.json.decode(raw, type=list[msgspec.Raw])
        except UNREADABLE:
            return False, []
        own = [tool for tool in tools if self._is_own(tool)]
        return len(own) == len(tools), own

    def _is_own(self, raw: msgspec.Raw) -> bool:
        tool = _mapped(raw)
        if not tool:
            return False
        if "type" in tool and bytes(tool["type"]) != _NULL and text_of(tool["type"]) not in self.tool_kinds:
            return False
        return not any(self.counts(name, tool, self.tool) for name in tool)

    def mark(self, values: Mapping[str, msgspec.Raw], found: Found) -> None:
        for name in self.marks & values.keys():
            if bytes(values[name]) != _NULL:
                found.caches = longer(found.caches, _read(bytes(values[name])))

    def mark_each(self, raw: msgspec.Raw | None, found: Found) -> None:
        """Note the marks in a list of tools or tool calls, and in the function inside each."""
        for values in _listed(raw):
            self.mark(values, found)
            if "function" in values:
                self.mark(_mapped(values["function"]), found)

    # -- leaving out ----------------------------------------------------------------------------------

    def known_messages(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The same without unknown names."""
        messages = maps.decode(whole(bytes(raw)))
        for message in messages:
            for name in [name for name in message if self.counts(name, message)]:
                del message[name]
            content = message.get("content")
            if content is not None and bytes(content).startswith(b"["):
                message["content"] = self.known_parts(content)
        return msgspec.Raw(msgspec.json.encode(messages))

    def known_parts(self, content: msgspec.Raw) -> msgspec.Raw:
        try:
            parts = maps.decode(content)
        except UNREADABLE:
            return content
        for part in parts:
            known = self.parts.get(text_of(part["type"]) if "type" in part else "text")
            if known is not None:
                for name in [name for name in part if self.counts(name, part, known)]:
                    del part[name]
        return msgspec.Raw(msgspec.json.encode(parts))


@dataclass(slots=True)
class Found:
    """unknown: names that can be left out. fixed: parts that cannot be left out without changing the question. files:
    there are some. caches: what is to be written to a cache."""

    unknown: list[str] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    files: bool = False
    caches: Caches = ""


def few(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, and no more of them than a person would read."""
    return tuple(dict.fromkeys(names))[:_MOST_NAMES]


def is_plain_input(raw: msgspec.Raw) -> bool:
    """Whether the input to complete or embed consists only of text and tokens."""
    text = bytes(raw)
    if text.startswith(b'"') or b"{" not in text:
        return True
    value = _read(text)
    return not isinstance(value, dict) and not (
        isinstance(value, list) and any(isinstance(each, dict | list) and not _is_tokens(each) for each in value)
    )


def longer(caches: Caches, mark: Any) -> Caches:
    """The longest duration asked for so far, this mark included. A mark with an unknown duration may mean a long
    one."""
    short = isinstance(mark, dict) and mark.get("ttl") in _SHORT
    return "short" if short and caches != "lasting" else "lasting"


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, int) for each in value)


def _is_picture(part: Mapping[str, msgspec.Raw]) -> bool:
    """Whether it is a picture, and not video or sound sent as an image, which some servers accept."""
    for name in ("image_url", "file_id"):
        value = _read(bytes(part.get(name, _NULL)))
        url = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, dict) and not str(value.get("format") or "image").lower().startswith("image"):
            return False
        data = _DATA_URL.match(url) if isinstance(url, str) else None
        if data is not None and data[1].lower() not in ("image", ""):
            return False
    return True


def _listed(raw: msgspec.Raw | None) -> list[dict[str, msgspec.Raw]]:
    """The elements of a list that are maps."""
    try:
        return maps.decode(raw) if raw is not None else []
    except UNREADABLE:
        pass
    try:
        return [_mapped(each) for each in msgspec.json.decode(raw or b"[]", type=list[msgspec.Raw])]
    except UNREADABLE:
        return []


def _mapped(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return {}


def text_of(raw: msgspec.Raw) -> str:
    value = _read(bytes(raw))
    return value if isinstance(value, str) else ""


def _read(text: bytes) -> Any:
    try:
        return _any.decode(text)
    except UNREADABLE:
        return None
