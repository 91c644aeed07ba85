"""Entries as messages of RFC 5424. Pure."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from meshd.connectors.observability.lines import as_map, time_of
from meshd.connectors.observability.priorities import priority_of
from meshd.host.plain_text import in_json
from meshd.sdk.observability import Entry

FACILITIES = {"user": 1, "daemon": 3, "auth": 4, **{f"local{number}": 16 + number for number in range(8)}}
_COOKIE = "@cee: "
"""Before JSON, as collectors recognise it (rsyslog's mmjsonparse, syslog-ng's json-parser)."""
_BOM = b"\xef\xbb\xbf"


class Header(NamedTuple):
    """The beginning that all messages of a process share."""

    facility: int
    host: str
    app_name: str
    pid: int


def message(entry: Entry, header: Header, *, as_json: bool, longest: int | None = None) -> bytes:
    """as_json: all details; otherwise the one line for people. longest: bytes; the longest details are left out until
    the message fits."""
    head = (
        f"<{header.facility * 8 + priority_of(entry)}>1 {time_of(entry)} {_name(header.host, 255)} "
        f"{_name(header.app_name, 48)} {header.pid} {_name(entry.stream, 32)} - "
    ).encode()
    if as_json:
        return head + _json(as_map(entry), None if longest is None else longest - len(head))
    text = entry.message.encode(errors="replace")
    text = text if text.isascii() else _BOM + text
    return head + (text if longest is None else text[: longest - len(head)].decode(errors="ignore").encode())


def framed(data: bytes) -> bytes:
    """As it is sent over a stream: preceded by its length."""
    return b"%d %s" % (len(data), data)


def _json(details: dict[str, Any], longest: int | None) -> bytes:
    """In ASCII, so that no receiver can misread the encoding."""
    encoded = _encoded(details)
    while longest is not None and len(encoded) > longest and len(details) > 1:
        largest = max(details, key=lambda name: len(_encoded(details[name])) if name != "cut" else 0)
        details = {name: value for name, value in details.items() if name != largest} | {"cut": True}
        encoded = _encoded(details)
    return encoded


def _encoded(value: Any) -> bytes:
    return (_COOKIE + in_json(json.dumps(value, separators=(",", ":"), default=str))).encode()


def _name(text: str, longest: int) -> str:
    return "".join(character for character in text if "!" <= character <= "~")[:longest] or "-"
