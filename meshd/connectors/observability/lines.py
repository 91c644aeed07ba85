"""An entry as a JSON object, the same for every sink that writes JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from meshd.core.seconds import from_nanos
from meshd.host.plain_text import in_json
from meshd.sdk.observability import Entry

_encode = msgspec.json.Encoder().encode


def time_of(entry: Entry) -> str:
    """In UTC, with microseconds: `2025-10-09T08:53:20.000000+00:00`."""
    return datetime.fromtimestamp(from_nanos(entry.at_ns), UTC).isoformat(timespec="microseconds")


def as_map(entry: Entry) -> dict[str, Any]:
    head = {"time": time_of(entry), "stream": entry.stream, "severity": entry.severity, "message": entry.message}
    return head | entry.fields


def as_json(entry: Entry) -> bytes:
    """One line, without a line break. Terminal control characters are escaped, since logs are read on terminals too."""
    return in_json(_encode(as_map(entry)).decode()).encode()
