"""A provider of its own behaviour, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

from aiohttp import web


class ProviderInThread:
    """A server on a free port, from when it is made until `close`. A class says what it answers by `application`.

    backlog: connections that may wait to be accepted.
    """

    backlog = 128
    tls: ssl.SSLContext | None = None
    cancels = False
    """Whether a handler ends when its client has gone."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def application(self) -> web.Application:
        raise NotImplementedError

    def provider(self, **settings: Any) -> dict[str, Any]:
        """Its section in a configuration."""
        return {"connector": "openai-compatible.v1", "base_url": f"http://127.0.0.1:{self.port}/v1", **settings}

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _open(self) -> web.AppRunner:
        runner = web.AppRunner(
            self.application(), shutdown_timeout=0.1, access_log=None, handler_cancellation=self.cancels
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=self.backlog, ssl_context=self.tls).start()
        self.port: int = runner.addresses[0][1]
        return runner
