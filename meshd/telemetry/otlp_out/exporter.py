"""Encodes batches and posts them, by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp).

Owns: what of a batch is encoded.
Must never: try a batch again, as the daemon does.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from types import ModuleType
from typing import Any

from meshd.connectors.observability import halving
from meshd.connectors.observability.halving import Lost, TooLarge, post_in_halves
from meshd.connectors.observability.in_words import in_words
from meshd.net.connections.posting import Posting
from meshd.telemetry.otlp_out import as_json, protobuf
from meshd.telemetry.otlp_out.batch import MOST_POSTED, Batch, Result, decode_ended
from meshd.telemetry.otlp_out.records import EachAlone, log_of
from meshd.telemetry.otlp_out.templates import Templates
from modelmesh.version import VERSION
from modelmesh.wording import counted

_ENCODINGS: dict[str, ModuleType] = {"protobuf": protobuf, "json": as_json}
_LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same batch may be taken."""

_Encoded = tuple[bytes, int]
"""Records that are not divided, and how many."""


class NotTaken(Exception):
    """The receiver cannot take a batch now. after: seconds that it asks to wait, 0: it does not say."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class _Posts:
    """All of one kind."""

    def __init__(self) -> None:
        self.each: list[list[_Encoded]] = []
        self._size = 0  # of the last

    def add(self, encoded: bytes, count: int = 1) -> None:
        if not self.each or self._size + len(encoded) > MOST_POSTED:
            self.each.append([])
            self._size = 0
        self.each[-1].append((encoded, count))
        self._size += len(encoded)


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
                lost, why = post_in_halves(partial(self._post, kind), encoded)
            except Exception as error:  # anything that a library raises about an address or a connection
                self.close()
                failed = in_words(error)
                return Result(failed, getattr(error, "after", 0.0), dropped, refused)
            dropped, refused = dropped + lost, why or refused
        return Result("", 0.0, dropped, refused)

    def close(self) -> None:
        self._posting.close()

    # -- inside ---------------------------------------------------------------------------------------

    def _encoded(self, batch: Batch) -> Iterator[tuple[str, list[_Encoded]]]:
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

    def _post(self, kind: str, encoded: Sequence[_Encoded], part: str) -> Lost:
        """Raises TooLarge, NotTaken, and what a library raises about an address, a certificate or a connection."""
        count = sum(records for _, records in encoded)
        body = self._encoding.request(kind, self._resource, [each for each, _ in encoded])
        url = f"{self._endpoint}/v1/{kind}"
        status, said, after = self._posting.post(url, body, self._headers)
        if status in _LATER:
            raise NotTaken(f"{url} answered with status {status}", after)
        refused = f"{url} refused {counted(count, 'record')} with status {status}"
        if status == halving.STATUS:
            raise TooLarge(refused, count)
        if status >= 300:
            return count, refused
        rejected = min(self._encoding.rejected(said), count)
        return rejected, f"{url} rejected {counted(rejected, 'record')}" if rejected else ""
