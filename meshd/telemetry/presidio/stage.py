"""What stands before the sinks of the request log where Presidio is wanted: a sink that passes entries on.

Must never: pass on a prompt or an answer that Presidio has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from meshd.connectors.observability.process.child_process import ChildProcess, Ended
from meshd.sdk.observability import Entry, Sink

CONTENTS = ("prompt", "answer")
_CHILD = "meshd.telemetry.presidio.child"
_TIMEOUT = 20.0  # s for the texts of an entry
_MOST = 64 * 1024 * 1024  # bytes of an answer


class PresidioStage(Sink):
    """model: of spaCy. forward: gets each entry. An entry that Presidio cannot read loses its contents."""

    quiet: ClassVar[bool] = False

    def __init__(self, model: str, forward: Callable[[Entry], None]) -> None:
        self._process = ChildProcess(_CHILD, model, most=_MOST)
        self._forward = forward
        self._error = ""

    def write(self, entry: Entry) -> None:
        contents = {name: entry.fields[name] for name in CONTENTS if name in entry.fields}
        try:
            self._process.start()
            texts = list(_texts(contents))
            found = self._process.exchange(msgspec.json.encode(texts), _TIMEOUT)
            masked = found.get("found")
            if found["error"] or not isinstance(masked, list) or len(masked) != len(texts):
                raise Ended(found["error"] or "its process broke the protocol")
        except (OSError, Ended) as error:
            self._process.end()
            self._error = f"Presidio: {error}"
            shown = {name: value for name, value in entry.fields.items() if name not in CONTENTS}
            fields = {**shown, "content": "left out: Presidio could not read it"}
        else:
            self._error = ""
            fields = {**entry.fields, **_with(contents, iter(masked))}
        self._forward(msgspec.structs.replace(entry, fields=fields))

    def status(self) -> Mapping[str, Any]:
        return {"error": self._error}

    def close(self) -> None:
        self._process.close()


def _texts(value: Any) -> Iterator[str]:
    """Those in maps and lists, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _with(value: Any, texts: Iterator[str]) -> Any:
    """The same structure with these texts."""
    if isinstance(value, str):
        return str(next(texts))
    if isinstance(value, dict):
        return {name: _with(item, texts) for name, item in value.items()}
    if isinstance(value, list):
        return [_with(item, texts) for item in value]
    return value
