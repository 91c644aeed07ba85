"""The mesh's own operations: questions about its state, and operators' commands.

Owns: the groups of operations, and what each of them gets.
Must never: hold state; other actors are asked for theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from meshd.gateway.actors import Actors
from meshd.gateway.batches.runner import Batches
from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.control.apis.responses import Responses
from meshd.gateway.control.apis.token_counts import TokenCounts
from meshd.gateway.control.base import Group
from meshd.gateway.control.commands import Commands
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.control.inventory import Inventory
from meshd.gateway.control.status import Status
from meshd.gateway.control.stored_state import StoredState
from meshd.gateway.control.watching.gauges import Gauges
from meshd.gateway.control.watching.metrics import Metrics
from meshd.gateway.files.store import FileStore
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.http.server import HttpServer
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.runtime import Runtime
from meshd.sdk.connector import load


def add_all(
    table: Dispatcher,
    runtime: Runtime,
    actors: Actors,
    admission: Admission,
    server: IpcServer,
    http: HttpServer,
    cache: ResponseCache,
    infer: Callable[[Request], Awaitable[None]],
    reader: Executor,
    responses: ResponseKeeper,
    files: FileStore,
    batches: Batches,
    gauges: Gauges,
    *,
    started: float,
    drain: Callable[[float], Awaitable[int]],
) -> None:
    """Put all groups into a dispatch table, and define who may give commands."""
    table.is_admin = lambda caller: runtime.apps.is_admin(caller)
    inventory = Inventory(runtime, actors, server.instance)
    groups: tuple[Group, ...] = (
        inventory,
        Status(runtime, actors, admission, server, http.listeners, inventory, started),
        Commands(runtime, actors, drain),
        StoredState(runtime, actors),
        Responses(runtime, actors, responses),
        TokenCounts(runtime, actors, responses),
        Metrics(runtime, actors, gauges),
    )
    for group in groups:
        group.add_to(table)

    def later(beginnings: tuple[str, ...], group: str, *parts: object) -> None:
        """group: its class in this package, as text. Many daemons never need it, nor the formats that it loads."""
        table.add_later(beginnings, lambda: load(f"{__package__}.{group}")(runtime, actors, *parts).add_to(table))

    models = ("/v1/models", "/v1beta/models")  # of both APIs
    later(models, "apis.models:Models")
    later(models, "apis.gemini:Gemini", infer, responses)
    later(("/api/",), "apis.ollama:Ollama", infer, reader)
    later(("/v1/files",), "apis.files:Files", files)
    later(("/v1/batches",), "apis.batches:BatchApi", batches, files)
    later(("/v1/traces", "/v1/logs", "/v1/metrics"), "apis.otlp:Otlp", reader)
    later(("/providers/", "/v1/fine_tuning/"), "passthrough.handler:Passthrough")
    later(("/mesh/v1/clients",), "clients:Clients", admission, server.connections)
    later(("/mesh/v1/apps", "/mesh/v1/budget"), "usage:Usage", admission, server.connections)
    later(("/mesh/v1/explain",), "explain:Explain", cache)
