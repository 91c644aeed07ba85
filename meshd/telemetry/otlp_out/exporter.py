"""Encodes batches and posts them, by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp).

Owns: what of a batch is encoded, and the connection.
Must never: follow a redirect, which could take the credentials elsewhere; or try a batch again, as the daemon does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from itertools import chain
from time import time
from types import ModuleType
from typing import Any

from meshd.host.plain_text import one_line
from meshd.telemetry import records
from meshd.telemetry.otlp_out import as_json, protobuf
from meshd.telemetry.otlp_out.batch import Batch, Result
from meshd.telemetry.otlp_out.records import log_of
from meshd.telemetry.spans import spans_of
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


class Exporter:
    """settings: `endpoint`, `headers`, `encoding`, `timeout`, `ca_file`, `resource`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._endpoint = str(settings.get("endpoint") or "http://127.0.0.1:4318").rstrip("/")
        self._encoding = _ENCODINGS[str(settings.get("encoding") or "protobuf")]
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
            if not encoded:
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

    def _encoded(self, batch: Batch) -> dict[str, list[bytes]]:
        span: Callable[..., bytes] = self._encoding.span
        log: Callable[..., bytes] = self._encoding.log
        traces: list[bytes] = []
        logs = [log(log_of(entry)) for entry in batch.entries]
        for each in chain.from_iterable(batch.ended):
            if each.traced and each.outcome.trace is not None:
                traces += map(span, spans_of(each.outcome, each.outcome.trace, batch.names, batch.ahead, each.said))
            if each.logged:
                logs.append(log(log_of(records.request_entry(each.outcome, each.content))))
        reading, metric = batch.reading, self._encoding.metric
        metrics = [metric(family, reading) for family in reading.families if family.rows] if reading else []
        return {"traces": traces, "logs": logs, "metrics": metrics}

    def _post(self, kind: str, encoded: list[bytes]) -> tuple[int, str]:
        """How many records the receiver refused, and why. Raises NotTaken, and what a library raises about an address,
        a certificate or a connection."""
        body = self._encoding.request(kind, self._resource, encoded)
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
            return len(encoded), f"{url} refused {len(encoded)} records with status {status}"
        rejected = min(self._encoding.rejected(said), len(encoded))
        return rejected, f"{url} rejected {rejected} records" if rejected else ""

    def _opened(self) -> Any:
        if self._client is None:
            import httpx

            from meshd.net.tls import tls_context

            self._client = httpx.Client(verify=tls_context(self._ca_file), timeout=self._timeout)
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
