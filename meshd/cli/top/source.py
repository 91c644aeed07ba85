"""What `meshctl top` asks the daemon, and the commands that it sends.

Owns: the connection, which is made again after every failure, and how often each question is asked.
Must never: keep the terminal waiting. Everything is awaited, with a deadline.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from meshd.cli.top.model import Row, Snapshot
from modelmesh.errors import MeshError

if TYPE_CHECKING:
    from modelmesh import AsyncOpenAIClient

PATIENCE = 4.0  # s for an answer
ORDER_PATIENCE = 60.0  # s for a command: a reload may take a long time
SLOW_EVERY = 2.0  # s between two questions about what changes by the minute
_HOUR, _RECENT = 3600.0, 900.0


class Source:
    """socket: as for AsyncOpenAIClient."""

    def __init__(self, socket: str | os.PathLike[str] | None = None) -> None:
        self._socket = socket
        self._client: AsyncOpenAIClient | None = None
        self._slow_at = 0.0
        self._minutes: dict[str, Row] = {}
        self._recent: dict[tuple[str, str], Row] = {}
        self._totals: dict[tuple[str, str], int] = {}

    async def snapshot(self) -> Snapshot:
        """Raises MeshError if the daemon does not answer."""
        try:
            status = await self.get("status")
            pools, models, apps, budgets, by_pool, by_app = await asyncio.gather(
                self.get("pools"),
                self.get("models"),
                self._perhaps("apps"),
                self._perhaps("budget"),
                self._perhaps("stats", by="pool"),
                self._perhaps("stats", by="app"),
            )
            if by_pool is not None and by_app is not None:
                self._totals = {
                    (scope, str(row.get("name"))): int(row.get("requests_total") or 0)
                    for scope, found in (("pool", by_pool), ("app", by_app))
                    for row in _rows(found)
                }
            if time.monotonic() - self._slow_at >= SLOW_EVERY:
                await self._look_at_statistics()
        except MeshError:
            await self.close()
            raise
        return Snapshot(
            at=time.monotonic(),
            clock=time.time(),
            status=status,
            pools=pools.get("data") or [],
            models=models.get("data") or [],
            apps=None if apps is None else apps.get("data") or [],
            budgets=None if budgets is None else budgets.get("data") or [],
            totals=self._totals,
            minutes=self._minutes,
            recent=self._recent,
        )

    async def _look_at_statistics(self) -> None:
        minutes, *recent = await asyncio.gather(
            self._perhaps("stats", by="minute", since=_HOUR),
            *(self._perhaps("stats", by=scope, since=_RECENT) for scope in ("pool", "app")),
        )
        self._minutes = {str(row.get("name")): row for row in _rows(minutes)}
        self._recent = {
            (scope, str(row.get("name"))): row
            for scope, found in zip(("pool", "app"), recent, strict=True)
            for row in _rows(found)
        }
        self._slow_at = time.monotonic()

    async def events(self, past: int = 100) -> AsyncIterator[Row]:
        """The last events, then every new one; some may come twice. Raises MeshError when the daemon is gone."""
        client = self._connected()
        stream = await client.mesh.events()
        try:
            for event in (await self.get("events", limit=past)).get("data") or []:
                yield event
            async for item in stream:
                event = item.to_dict()
                if event.get("severity") != "debug":
                    yield event
        finally:
            await stream.close()

    async def order(self, path: str, body: Row) -> Row:
        """Raises MeshError if the daemon refuses it."""
        answer = await self._connected().mesh.request("POST", f"/mesh/v1/{path}", body, timeout=ORDER_PATIENCE)
        found: Row = answer.to_dict()
        return found

    async def get(self, path: str, **query: Any) -> Row:
        suffix = f"?{urlencode(query)}" if query else ""
        answer = await self._connected().mesh.request("GET", f"/mesh/v1/{path}{suffix}")
        found: Row = answer.to_dict()
        return found

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _perhaps(self, path: str, **query: Any) -> Row | None:
        """None if this daemon lacks the operation, or a part of it is being restarted."""
        try:
            return await self.get(path, **query)
        except MeshError as error:
            if error.status_code in (400, 403, 404, 503) and error.code != "daemon_unavailable":
                return None
            raise

    def _connected(self) -> AsyncOpenAIClient:
        if self._client is None:
            from modelmesh import AsyncOpenAIClient

            self._client = AsyncOpenAIClient(self._socket, timeout=PATIENCE, max_retries=0, app="meshctl top")
        return self._client


def _rows(answer: Row | None) -> list[Row]:
    return list((answer or {}).get("data") or [])
