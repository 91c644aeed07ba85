"""`opentelemetry.otlp.v1`: traces, metrics and logs, by OTLP over HTTP
(https://opentelemetry.io/docs/specs/otlp/#otlphttp).

Owns: what of a batch is encoded, and the connection.
Must never: follow a redirect, which could take the credentials elsewhere.

A batch that the receiver cannot take now is sent again by the queue, after 1 to 30 s; it may get a part of it
twice. A batch that it refuses is dropped, and counted.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

from meshd.connectors.observability.otlp import as_json, protobuf
from meshd.connectors.observability.otlp.records import log_of
from meshd.host.plain_text import one_line
from meshd.sdk.observability import Entry, Sink
from modelmesh.version import VERSION

_ENCODINGS: dict[str, ModuleType] = {"protobuf": protobuf, "json": as_json}
_LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same batch may be taken."""
_MOST_READ = 64 * 1024  # bytes of an answer


class NotTaken(Exception):
    """The receiver cannot take a batch now."""


class OtlpSink(Sink):
    """Settings: `endpoint`, `headers`, `encoding`, `timeout`, `ca_file`, `resource`."""

    quiet: ClassVar[bool] = False
    buffered: ClassVar[bool] = True
    metrics: ClassVar[bool] = True
    traces: ClassVar[bool] = True
    linger: ClassVar[float] = 1.0

    @classmethod
    def file_name(cls, part: str, settings: Mapping[str, Any]) -> str:
        return ""

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
        self._records: dict[str, list[bytes]] = {"traces": [], "logs": [], "metrics": []}
        self._dropped = 0
        self._error = ""
        self._client: Any = None

    def write(self, entry: Entry) -> None:
        if entry.stream == "trace":
            span: Callable[..., bytes] = self._encoding.span
            self._records["traces"] += [span(each) for each in entry.fields["spans"]]
        elif entry.stream == "metrics":
            reading, metric = entry.fields["reading"], self._encoding.metric
            self._records["metrics"] = [metric(family, reading) for family in reading.families if family.rows]
        else:
            self._records["logs"].append(self._encoding.log(log_of(entry)))

    def flush(self) -> None:
        for kind, records in self._records.items():
            if records:
                self._post(kind, records)
                records.clear()

    def status(self) -> Mapping[str, Any]:
        return {"dropped": self._dropped, "error": self._error}

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- inside ---------------------------------------------------------------------------------------

    def _post(self, kind: str, records: list[bytes]) -> None:
        """Raises NotTaken, and what a library raises about an address, a certificate or a connection."""
        body = self._encoding.request(kind, self._resource, records)
        url = f"{self._endpoint}/v1/{kind}"
        said = b""
        with self._opened().stream("POST", url, content=body, headers=self._headers) as answer:
            for piece in answer.iter_bytes():
                said += piece
                if len(said) > _MOST_READ:
                    break
            status = int(answer.status_code)
        if status in _LATER:
            raise NotTaken(f"{url} answered with status {status}")
        if status >= 300:
            self._dropped += len(records)
            self._error = one_line(f"{url} refused {len(records)} records with status {status}")
            return
        rejected = self._encoding.rejected(said)
        self._dropped += rejected
        self._error = f"{url} rejected {rejected} records" if rejected else ""

    def _opened(self) -> Any:
        if self._client is None:
            import httpx

            from meshd.net.tls import tls_context

            self._client = httpx.Client(verify=tls_context(self._ca_file), timeout=self._timeout)
        return self._client
