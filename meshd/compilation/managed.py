"""From `providers.NAME.managed` to the server that a connector starts."""

from __future__ import annotations

import os

from meshd.config.schema.routing.providers import ManagedConfig
from meshd.sdk.settings import ManagedServer


def managed_server(config: ManagedConfig | None) -> ManagedServer | None:
    if config is None or not config.command:
        return None
    return ManagedServer(
        command=os.path.expanduser(config.command),
        args=config.args,
        env=config.env,
        cwd=os.path.expanduser(config.cwd) if config.cwd else None,
        ready=config.ready or "",
        start_timeout=config.start_timeout,
        idle_timeout=config.idle_timeout,
        restart=config.restart,
    )
