"""What a batch API has to define: how requests are written into one file, submitted, searched for and fetched.

Must never: know a connection, or which user a batch belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from meshd.sdk.calls.passing import RawAnswer, RawBody

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Send(Protocol):
    """Sends a request below the provider's base URL, with its key. Raises ProviderFailure.

    headers: by lower-case name. branch: see `RawRequest`."""

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | RawBody = b"",
        headers: Mapping[str, str] = NO_HEADERS,
        branch: str = "",
    ) -> RawAnswer: ...


class Remote(NamedTuple):
    """A batch at its provider. ended: nothing more comes. results: paths of its results, below the base URL, with
    their query. done: requests that are answered so far."""

    id: str
    ended: bool = False
    results: tuple[str, ...] = ()
    done: int = 0


class Result(NamedTuple):
    """The result of one request. id: the one that it was sent with. status: as in HTTP; 0: it was not carried out.
    body: that of its answer. message: that of its error."""

    id: str
    status: int
    body: bytes = b""
    message: str = ""


class LinesFile(RawBody, Protocol):
    """The file of requests, which is sent while it is read."""

    def between(self, begin: bytes, end: bytes) -> None:
        """Send these around it, instead of the API's `begin` and `end`. Call it before the first `read`."""


class BatchApi(Protocol):
    """begin, between, end: what joins lines into one file. most: the most requests of a batch, and the most bytes of
    its file; None: unlimited. named: a batch can be found by its name for certain.

    `submit`, `find`, `look` and `cancel` raise ProviderFailure, also for an answer that cannot be read.
    """

    begin: bytes
    between: bytes
    end: bytes
    most: tuple[int | None, int | None]
    named: bool

    def line(self, id: str, path: str, body: bytes) -> bytes:
        """A request in the file. path: where it would be sent alone, below the base URL. body: in JSON."""

    async def submit(self, send: Send, file: LinesFile, path: str, run: str) -> Remote:
        """path: that of all requests. run: a name by which the batch can be found."""

    async def find(self, send: Send, run: str, since: float, count: int) -> list[Remote]:
        """The batches that may have been submitted under that name since then (UTC s), with that many requests."""

    async def look(self, send: Send, id: str) -> Remote: ...

    async def cancel(self, send: Send, id: str) -> None: ...

    def result(self, line: bytes) -> Result | None:
        """A line of the results; None if it cannot be read."""
