"""A request to a provider's own API that the mesh does not read, and its answer.

Owns: the records of both. Must never: know a format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from meshd.sdk.calls.credential import Credential


class RawBody(Protocol):
    """A body that is sent while it is still arriving. length: bytes, None if unknown. size: bytes that have arrived."""

    length: int | None
    size: int

    async def read(self) -> bytes:
        """The bytes that have arrived, at least one; b"" at the end. Raises MeshError."""


class RawRequest(NamedTuple):
    """path, query: below the provider's base URL, as they are sent, and already checked. headers: by lower-case name,
    none of them secret. timeout: seconds without progress in either direction. key: the id of the provider's key, ""
    for the only one. credential: the caller's own, for a provider that takes it. branch: inserted before the last
    segment of the base URL's path (`upload` for Google: https://host/upload/v1beta/files)."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | RawBody
    timeout: float
    key: str = ""
    credential: Credential | None = None
    branch: str = ""


class Written(NamedTuple):
    """A request to a model as it would be sent. path: below the provider's base URL."""

    path: str
    body: bytes


class RawAnswer(Protocol):
    """An answer of any status, whose body is still arriving: call `more` until it returns b"", then `close`. headers:
    by lower-case name, without those of the connection and without secrets."""

    status: int
    headers: Mapping[str, str]

    async def more(self) -> bytes:
        """The bytes that have arrived, at least one; b"" at the end. Raises ProviderFailure."""

    async def failure(self) -> bytes:
        """The whole body of an error, without secrets; b"" if it is too long. Raises ProviderFailure."""

    def close(self) -> None: ...
