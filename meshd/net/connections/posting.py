"""Posts to one receiver, for a thread that may wait, each of them within a time.

Owns: the connection, and the end of a post that takes too long. httpx bounds only each read, so a receiver that sends a
byte now and then would hold a thread for as long as it likes.
Must never: follow a redirect, which could take the credentials elsewhere.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, NamedTuple

MOST_READ = 64 * 1024  # bytes of an answer


class Answer(NamedTuple):
    """body: decoded, and about the first `MOST_READ` bytes of it. after: s that the receiver asks to wait before it is
    tried again, 0: it does not say."""

    status: int
    body: bytes
    after: float


class Posting:
    """Used by one thread. ca_file: as for `tls_context`. timeout: s for a post, from its connection to its answer."""

    def __init__(self, ca_file: str | None, timeout: float) -> None:
        self._ca_file = ca_file
        self._timeout = timeout
        self._client: Any = None
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._late = False

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises TimeoutError, and what a library raises about an address, a certificate or a connection."""
        import httpx

        if self._client is None:
            from meshd.net.connections.tls import blocking_client

            self._client = blocking_client(self._ca_file, self._timeout)
        self._late = False
        watch = threading.Timer(self._timeout, self._end)
        watch.daemon = True
        watch.start()
        try:
            request = self._client.stream(
                "POST", url, content=body, headers=headers, extensions={"trace": self._seen}, follow_redirects=False
            )
            said = b""
            with request as answer:
                with suppress(httpx.DecodingError):  # its status counts all the same
                    for piece in answer.iter_bytes():
                        said += piece
                        if len(said) > MOST_READ:
                            break
                found = Answer(int(answer.status_code), said, seconds_of(str(answer.headers.get("retry-after") or "")))
        except Exception as error:
            if self._late or isinstance(error, httpx.TimeoutException):
                self.close()
                raise TimeoutError(f"{url} did not answer within {self._timeout:g} s") from None
            raise
        finally:
            watch.cancel()
            watch.join()
        if self._late:  # a body that ends with its connection looks complete
            self.close()
            raise TimeoutError(f"{url} did not answer within {self._timeout:g} s")
        return found

    def close(self) -> None:
        """Idempotent. A later post connects again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._keep(None)

    # -- inside ---------------------------------------------------------------------------------------

    def _seen(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace: what happens to the connection."""
        if event == "connection.connect_tcp.complete":
            # A duplicate, because TLS takes the socket over.
            self._keep(info["return_value"].get_extra_info("socket").dup())
        if self._late:
            raise TimeoutError

    def _keep(self, connection: socket.socket | None) -> None:
        with self._lock:
            before, self._connection = self._connection, connection
        if before is not None:
            before.close()

    def _end(self) -> None:
        """Called by the watch. Whatever the other thread waits for on the connection ends at once."""
        self._late = True
        with self._lock, suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)


def seconds_of(retry_after: str) -> float:
    """Of `Retry-After`: seconds, or a date. 0 for anything else."""
    text = retry_after.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
