"""Encodes batches and posts them, by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp).

Owns: what of a batch is encoded.
Must never: try a batch again, as the daemon does.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import ModuleType
from typing import Any

from meshd.connectors.observability.in_words import in_words
from meshd.net.connections.posting import Posting
from meshd.telemetry.otlp_out import as_json, protobuf
from meshd.telemetry.otlp_out.batch import Batch, Result, decode_ended
from meshd.telemetry.otlp_out.records import EachAlone, log_of
from meshd.telemetry.otlp_out.templates import Templates
from modelmesh.version import VERSION

_ENCODINGS: dict[str, ModuleType] = {"protobuf": protobuf, "json": as_json}
_LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same batch may be taken."""
_MOST_POSTED = 512 * 1024
"""Bytes of records in a post, unless one part has more: nginx takes a MiB unless it is told otherwise."""
_TOO_LARGE = 413


class NotTaken(Exception):
    """The receiver cannot take a batch now. after: seconds that it asks to wait, 0: it does not say."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class _TooLarge(Exception):
    """For the receiver."""


class _Records:
    """For one post. each: encoded, of one or more records each; count: of all records."""

    def __init__(self, each: Iterable[tuple[bytes, int]] = ()) -> None:
        self.each: list[tuple[bytes, int]] = []
        self.count = 0
        self.size = 0
        for encoded, count in each:
            self.add(encoded, count)

    def add(self, encoded: bytes, count: int) -> None:
        self.each.append((encoded, count))
        self.count += count
        self.size += len(encoded)

    def halves(self) -> tuple[_Records, _Records]:
        middle = len(self.each) // 2
        return _Records(self.each[:middle]), _Records(self.each[middle:])


class _Posts:
    """All of one kind."""

    def __init__(self) -> None:
        self.each: list[_Records] = []

    def add(self, encoded: bytes, count: int = 1) -> None:
        if not self.each or self.each[-1].size + len(encoded) > _MOST_POSTED:
            self.each.append(_Records())
        self.each[-1].add(encoded, count)


class Exporter:
    """settings: `endpoint`, `headers`, `encoding`, `timeout`, `ca_file`, `resource`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._endpoint = str(settings.get("endpoint") or "http://127.0.0.1:4318").rstrip("/")
        self._encoding = _ENCODINGS[str(settings.get("encoding") or "protobuf")]
        self._requests = Templates() if self._encoding is protobuf else EachAlone(self._encoding)
        self._headers = {
            "User-Agent": f"meshd/{VERSION}",
            **{str(name): str(value) for name, value in (settings.get("headers") or {}).items()},
            "Content-Type": self._encoding.CONTENT_TYPE,
        }
        self._posting = Posting(settings.get("ca_file"), float(settings.get("timeout") or 10.0))
        self._resource = {
            "service.name": "meshd",
            "service.version": VERSION,
            "host.name": socket.gethostname(),
            **{str(name): str(value) for name, value in (settings.get("resource") or {}).items()},
        }

    def export(self, batch: Batch) -> Result:
        dropped, refused = 0, ""
        for kind, encoded in self._encoded(batch):
            try:
                lost, why = self._post_all(kind, encoded)
            except Exception as error:  # anything that a library raises about an address or a connection
                self.close()
                failed = in_words(error)
                return Result(failed, getattr(error, "after", 0.0), dropped, refused)
            dropped, refused = dropped + lost, why or refused
        return Result("", 0.0, dropped, refused)

    def close(self) -> None:
        self._posting.close()

    # -- inside ---------------------------------------------------------------------------------------

    def _encoded(self, batch: Batch) -> Iterator[tuple[str, _Records]]:
        traces, logs, metrics = (_Posts() for _ in range(3))
        for each in batch.entries:
            logs.add(self._encoding.log(log_of(each)))
        self._requests.name_by(batch.names)
        for ended in chain.from_iterable(map(decode_ended, batch.ended)):
            spans, count, log = self._requests.encoded(ended, batch.ahead)
            if count:
                traces.add(spans, count)
            if log:
                logs.add(log)
        reading = batch.reading
        for family in reading.families if reading else ():
            if family.rows:
                metrics.add(self._encoding.metric(family, reading))
        for kind, posts in (("traces", traces), ("logs", logs), ("metrics", metrics)):
            for post in posts.each:
                yield kind, post

    def _post_all(self, kind: str, encoded: _Records) -> tuple[int, str]:
        """How many records the receiver refused, and why. What is too large for it is sent in two halves. Raises
        NotTaken, and what a library raises about an address, a certificate or a connection."""
        try:
            return self._post(kind, encoded)
        except _TooLarge as error:
            if len(encoded.each) == 1:
                return encoded.count, str(error)
        lost, why = 0, ""
        for half in encoded.halves():
            more, reason = self._post_all(kind, half)
            lost, why = lost + more, reason or why
        return lost, why

    def _post(self, kind: str, encoded: _Records) -> tuple[int, str]:
        """The same, as a whole. Raises _TooLarge as well."""
        body = self._encoding.request(kind, self._resource, [each for each, _ in encoded.each])
        url = f"{self._endpoint}/v1/{kind}"
        status, said, after = self._posting.post(url, body, self._headers)
        if status in _LATER:
            raise NotTaken(f"{url} answered with status {status}", after)
        refused = f"{url} refused {encoded.count} records with status {status}"
        if status == _TOO_LARGE:
            raise _TooLarge(refused)
        if status >= 300:
            return encoded.count, refused
        rejected = min(self._encoding.rejected(said), encoded.count)
        return rejected, f"{url} rejected {rejected} records" if rejected else ""
