"""Encodes batches and posts them, by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp).

Owns: what of a batch is encoded, and the connection.
Must never: follow a redirect, which could take the credentials elsewhere; or try a batch again, as the daemon does.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from itertools import chain
from time import time
from types import ModuleType
from typing import Any

from meshd.host.plain_text import one_line
from meshd.telemetry.otlp_out import as_json, protobuf
from meshd.telemetry.otlp_out.batch import Batch, Result
from meshd.telemetry.otlp_out.records import EachAlone, log_of
from meshd.telemetry.otlp_out.templates import Templates
from modelmesh.version import VERSION

_ENCODINGS: dict[str, ModuleType] = {"protobuf": protobuf, "json": as_json}
_LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same batch may be taken."""
_MOST_READ = 64 * 1024  # bytes of an answer


class NotTaken(Exception):
    """The receiver cannot take a batch now. after: seconds that it asks to wait, 0: it does not say."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class _Records:
    """For one request. count: of records; a part may have several."""

    def __init__(self) -> None:
        self.count = 0
        self.parts: list[bytes] = []

    def add(self, part: bytes, count: int = 1) -> None:
        self.count += count
        self.parts.append(part)


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
        self._timeout = float(settings.get("timeout") or 10.0)
        self._ca_file = settings.get("ca_file")
        self._resource = {
            "service.name": "meshd",
            "service.version": VERSION,
            "host.name": socket.gethostname(),
            **{str(name): str(value) for name, value in (settings.get("resource") or {}).items()},
        }
        self._client: Any = None

    def export(self, batch: Batch) -> Result:
        dropped, refused = 0, ""
        for kind, encoded in self._encoded(batch).items():
            if not encoded.count:
                continue
            try:
                lost, why = self._post(kind, encoded)
            except Exception as error:  # anything that a library raises about an address or a connection
                self.close()
                failed = one_line(f"{type(error).__name__}: {error}")
                return Result(failed, getattr(error, "after", 0.0), dropped, refused)
            dropped, refused = dropped + lost, why or refused
        return Result("", 0.0, dropped, refused)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- inside ---------------------------------------------------------------------------------------

    def _encoded(self, batch: Batch) -> dict[str, _Records]:
        traces, logs, metrics = (_Records() for _ in range(3))
        for each in batch.entries:
            logs.add(self._encoding.log(log_of(each)))
        self._requests.name_by(batch.names)
        for ended in chain.from_iterable(batch.ended):
            spans, count, log = self._requests.encoded(ended, batch.ahead)
            if count:
                traces.add(spans, count)
            if log:
                logs.add(log)
        reading = batch.reading
        for family in reading.families if reading else ():
            if family.rows:
                metrics.add(self._encoding.metric(family, reading))
        return {"traces": traces, "logs": logs, "metrics": metrics}

    def _post(self, kind: str, encoded: _Records) -> tuple[int, str]:
        """How many records the receiver refused, and why. Raises NotTaken, and what a library raises about an address,
        a certificate or a connection."""
        body = self._encoding.request(kind, self._resource, encoded.parts)
        url = f"{self._endpoint}/v1/{kind}"
        said = b""
        with self._opened().stream("POST", url, content=body, headers=self._headers) as answer:
            for piece in answer.iter_bytes():
                said += piece
                if len(said) > _MOST_READ:
                    break
            status, asked = int(answer.status_code), str(answer.headers.get("retry-after") or "")
        if status in _LATER:
            raise NotTaken(f"{url} answered with status {status}", seconds_of(asked))
        if status >= 300:
            return encoded.count, f"{url} refused {encoded.count} records with status {status}"
        rejected = min(self._encoding.rejected(said), encoded.count)
        return rejected, f"{url} rejected {rejected} records" if rejected else ""

    def _opened(self) -> Any:
        if self._client is None:
            from meshd.net.connections.tls import blocking_client

            self._client = blocking_client(self._ca_file, self._timeout)
        return self._client


def seconds_of(retry_after: str) -> float:
    """Of `Retry-After`: seconds, or a date. 0 for anything else."""
    text = retry_after.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
