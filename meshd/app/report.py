"""What the process reports about itself: to the person who started it, to the service manager, to the log."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshd.app.notify import Notifier
from meshd.core.messaging.mailboxes import ActorUnavailable
from meshd.host import clock
from meshd.host.installing import how_to_install
from meshd.host.plain_text import harmless
from modelmesh.errors import MeshError
from modelmesh.version import VERSION

if TYPE_CHECKING:
    from meshd.mesh import ModelMesh

logger = logging.getLogger("meshd")

STUCK_AFTER = 5.0
"""s that the router may take to answer; after that the watchdog is not fed."""


def _no_providers() -> str:
    return f"none: set a key such as OPENAI_API_KEY, start Ollama, or run {how_to_install('local')}"


def greet(status: dict[str, Any], path: Path) -> None:
    """A short summary for a person who started the daemon by hand."""
    unwritten = status["state"].get("error")
    if unwritten:
        logger.warning("state and spend are kept in memory only: %s", unwritten)
    if not sys.stderr.isatty():
        logger.info("ready on %s: %s", path, summary(status))
        return
    source = status["config"]["source"]
    lines = [f"meshd {VERSION} is ready", f"  socket     {path}", f"  config     {source}"]
    lines += [f"  listens    {each}" for each in (*status["listen"]["addresses"], *status["listen"]["problems"])]
    lines += [f"  HTTP       {each}" for each in (*status["http"]["addresses"], *status["http"]["problems"])]
    names = [
        provider["name"] if provider["available"] else f"{provider['name']} ({provider['reason']})"
        for provider in status["providers"]
    ]
    lines.append(f"  providers  {', '.join(names) or _no_providers()}")
    pools = [f"{pool['name']} ({pool['active']})" for pool in status["pools"]]
    lines.append(f"  pools      {', '.join(pools) or 'none'}")
    lines += [f"  note       {note}" for note in status["notes"]]
    lines.append("Next: meshctl chat, meshctl status, meshctl doctor. Ctrl-C ends.")
    print("\n".join(harmless(line).replace("\n", " ") for line in lines), file=sys.stderr)


def summary(status: dict[str, Any]) -> str:
    up = sum(provider["available"] for provider in status["providers"])
    return (
        f"{len(status['pools'])} pools, {up} of {len(status['providers'])} providers available, "
        f"{status['in_flight']} requests in flight"
    )


def first_status(mesh: ModelMesh) -> dict[str, Any]:
    """Clients of a socket that was handed in may send before this. If a request of theirs crashed the router, it is
    back soon."""
    deadline = clock.now() + STUCK_AFTER
    while True:
        try:
            status: dict[str, Any] = mesh.command("GET", "/mesh/v1/status")
            return status
        except ActorUnavailable:
            if clock.now() > deadline:
                raise
            time.sleep(0.05)


def dump(mesh: ModelMesh) -> None:
    try:
        state = {name: status_of(mesh, name) for name in ("status", "pools", "models")}
        text = json.dumps(state)
    except Exception as error:  # an operation's exception must not end the daemon
        logger.error("no state dump: %s", named(error))
        return
    logger.info("state dump: %s", text)


def status_of(mesh: ModelMesh, name: str = "status") -> Any:
    """Bounded, because signals wait for it."""
    return mesh.command("GET", f"/mesh/v1/{name}", timeout=STUCK_AFTER)


def named(error: Exception) -> str:
    return str(error) if isinstance(error, MeshError) else f"{type(error).__name__}: {error}"


def say_alive(mesh: ModelMesh, notifier: Notifier, watchdog: float | None) -> None:
    if not mesh.healthy(STUCK_AFTER):
        logger.error("the router does not answer; the watchdog is not fed")
        return
    if watchdog:
        notifier.watchdog()
    try:
        notifier.status(summary(status_of(mesh)))
    except Exception as error:  # an operation's exception must not end the daemon
        logger.warning("no status: %s", named(error))
