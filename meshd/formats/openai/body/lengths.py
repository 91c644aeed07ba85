"""Refuses lists in an app's body that are too long to read, and reads the parts of a content one by one.

Must never: decode values that are only passed on, as others would wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cache
from typing import Any

import msgspec

from meshd.sdk.reading.counting import has_more_values
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import InvalidRequestError

MOST_ITEMS = 10_000
"""The most messages, parts or tools in a list: more than any model takes, and few enough to read within milliseconds.
Also the most values in a part that is read: an image or a document is a single text."""


_LONG = 128 * 1024
"""Bytes: the entries of a list of at least this size are not all decoded to count them."""


class _Typed(msgspec.Struct):
    type: str = ""


_items = msgspec.json.Decoder(list[msgspec.Raw])
_typed = msgspec.json.Decoder(_Typed)


@cache
def _bounded() -> msgspec.json.Decoder[Any]:
    """A decoder for a list with at most MOST_ITEMS entries. It gives up at the first one beyond, after 0.3 ms; decoding
    1 MiB of entries would take 50 ms. Created when first needed, which takes 0.2 s."""
    fields = [(f"_{number}", msgspec.Raw, None) for number in range(MOST_ITEMS)]
    return msgspec.json.Decoder(msgspec.defstruct("_Entries", fields, array_like=True, forbid_unknown_fields=True))


def check_length(name: str, listed: msgspec.Raw | bytes) -> None:
    """Check the length of a list; a text may have any. Raises InvalidRequestError."""
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
    """The maps of a list that have one of these types, decoded; those that cannot be read are left out. name: that of
    the list, for errors. Raises InvalidRequestError for a map with very many values."""
    try:
        listed = [bytes(raw) for raw in _items.decode(content)]
    except UNREADABLE:
        return
    for part in listed:
        try:
            if not part.startswith(b"{") or _typed.decode(part).type not in kinds:
                continue
            check_values(name, part)
            yield msgspec.json.decode(part)
        except UNREADABLE:
            continue
