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
from meshd.gateway.control.apis.batches import BatchApi
from meshd.gateway.control.apis.files import Files
from meshd.gateway.control.apis.gemini import Gemini
from meshd.gateway.control.apis.models import Models
from meshd.gateway.control.apis.ollama import Ollama
from meshd.gateway.control.apis.otlp import Otlp
from meshd.gateway.control.apis.responses import Responses
from meshd.gateway.control.apis.token_counts import TokenCounts
from meshd.gateway.control.base import Group
from meshd.gateway.control.clients import Clients
from meshd.gateway.control.commands import Commands
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.control.explain import Explain
from meshd.gateway.control.gauges import Gauges
from meshd.gateway.control.inventory import Inventory
from meshd.gateway.control.metrics import Metrics
from meshd.gateway.control.passthrough.handler import Passthrough
from meshd.gateway.control.status import Status
from meshd.gateway.control.stored_state import StoredState
from meshd.gateway.control.usage import Usage
from meshd.gateway.files.store import FileStore
from meshd.gateway.frontends.admission import Admission
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.http.server import HttpServer
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.runtime import Runtime


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
    """Put all groups into a dispatch table, and set who may give commands."""
    table.is_admin = lambda caller: runtime.apps.is_admin(caller)
    inventory = Inventory(runtime, actors, server.instance)
    groups: tuple[Group, ...] = (
        inventory,
        Models(runtime, actors),
        Status(runtime, actors, admission, server, http.listeners, inventory, started),
        Clients(runtime, actors, admission, server.connections),
        Usage(runtime, actors, admission, server.connections),
        Explain(runtime, actors, cache),
        Ollama(runtime, actors, infer, reader),
        Gemini(runtime, actors, infer, responses),
        Commands(runtime, actors, drain),
        StoredState(runtime, actors),
        Responses(runtime, actors, responses),
        TokenCounts(runtime, actors, responses),
        Files(runtime, actors, files),
        BatchApi(runtime, actors, batches, files),
        Passthrough(runtime, actors),
        Otlp(runtime, actors, reader),
        Metrics(runtime, actors, gauges),
    )
    for group in groups:
        group.add_to(table)
