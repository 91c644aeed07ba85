"""Lists of an app's body that are too long to be read, and the parts of a content that are read one by one.

Must never: make values of what an app only sends on; others would wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cache
from typing import Any

import msgspec

from meshd.sdk.reading.counting import has_more_values
from modelmesh.errors import InvalidRequestError

MOST_ITEMS = 10_000
"""Messages, parts or tools in a list: more than any model takes, and few enough to be read in some milliseconds. And
values in a part that is read: an image or a document is one text."""


_LONG = 128 * 1024
"""Bytes of a list whose entries are not all made to count them."""


class _Typed(msgspec.Struct):
    type: str = ""


_items = msgspec.json.Decoder(list[msgspec.Raw])
_typed = msgspec.json.Decoder(_Typed)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@cache
def _bounded() -> msgspec.json.Decoder[Any]:
    """Of a list that has at most so many entries. It gives up at the first one beyond, after 0.3 ms; making those of
    1 MiB would take 50. Made when it is first needed, which takes 0.2 s."""
    fields = [(f"_{number}", msgspec.Raw, None) for number in range(MOST_ITEMS)]
    return msgspec.json.Decoder(msgspec.defstruct("_Entries", fields, array_like=True, forbid_unknown_fields=True))


def check_length(name: str, listed: msgspec.Raw | bytes) -> None:
    """Of a list; a text may have any. Raises InvalidRequestError."""
    value = bytes(listed)
    if value.startswith(b"[") and value.count(b",") >= MOST_ITEMS and _is_too_long(value):
        raise InvalidRequestError(f"`{name}` has more than {MOST_ITEMS} items; send no more", param=name)


def _is_too_long(listed: bytes) -> bool:
    if len(listed) <= _LONG:
        return len(_items.decode(listed)) > MOST_ITEMS
    try:
        _bounded().decode(listed)
    except msgspec.ValidationError:
        return True
    return False


def check_values(name: str, value: bytes) -> None:
    """Raises InvalidRequestError."""
    if has_more_values(value, MOST_ITEMS):
        raise InvalidRequestError(f"a part of `{name}` has more than {MOST_ITEMS} values; send no more", param=name)


def parts_of_type(content: bytes, kinds: Container[str], name: str) -> Iterator[dict[str, Any]]:
    """Those maps of a list that have one of these types, read; without those that cannot be. name: of the list, for
    errors. Raises InvalidRequestError for one with very many values."""
    try:
        listed = [bytes(raw) for raw in _items.decode(content)]
    except _UNREADABLE:
        return
    for part in listed:
        try:
            if not part.startswith(b"{") or _typed.decode(part).type not in kinds:
                continue
            check_values(name, part)
            yield msgspec.json.decode(part)
        except _UNREADABLE:
            continue
