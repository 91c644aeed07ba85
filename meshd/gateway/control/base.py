"""What all groups of operations share: resolving names, asking other actors, identifying callers.

Must never: answer an operation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from meshd import messages
from meshd.core.messaging.mailboxes import ActorUnavailable
from meshd.gateway.access.rights import Reader
from meshd.gateway.actors import Actors
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.requests import arrival
from meshd.gateway.runtime import Runtime
from meshd.routing.table.specs import ANY_APP, AppSpec, Target, UnknownModel
from modelmesh.errors import InvalidRequestError, MeshError, NotFoundError


class Group:
    """A group of operations; `add_to` puts them in a dispatch table."""

    def __init__(self, runtime: Runtime, actors: Actors) -> None:
        self.runtime = runtime
        self.actors = actors

    def add_to(self, table: Dispatcher) -> None:
        raise NotImplementedError

    def is_admin(self, call: Call) -> bool:
        return self.runtime.apps.is_admin(call.caller)

    def reader(self, call: Call) -> Reader:
        """The caller, and what it may see."""
        return Reader.of(call.caller, self.runtime.apps, self.runtime.table)

    def resolve(self, name: str, app: AppSpec = ANY_APP) -> Target:
        """Raises NotFoundError. app: the caller's."""
        table = self.runtime.table
        try:
            return table.resolve(name)
        except UnknownModel as unknown:
            raise arrival.unknown_model(unknown, table, app) from None

    def visible(self, call: Call, name: str) -> Target:
        """What `name` stands for. Raises NotFoundError, AccessDeniedError."""
        target = self.resolve(name, self.reader(call).app)
        if not self.is_admin(call):
            self.runtime.apps.check(self.runtime.apps.identify(call.caller), target)
        return target

    def model(self, call: Call) -> str:
        """The one model that `id` names. Raises NotFoundError for a pool or an unknown name."""
        name = text(call.body, "id")
        target = self.resolve(name)
        if target.kind != "model":
            raise NotFoundError(
                f"{name} is a {target.kind}, not a model; see its models by `meshctl pools {target.pool.name}`.",
                code="model_not_found",
            )
        return target.pool.members[0]

    async def need(self, actor: str, message: messages.Message, timeout: float = 10.0) -> Any:
        try:
            return await self.actors.ask(actor, message, timeout)
        except ActorUnavailable as error:
            raise MeshError(f"{error}; try again in a moment", status_code=503, retryable=True) from None

    async def ask(self, actor: str, message: messages.Message, otherwise: Any) -> Any:
        """Ask an actor on behalf of the status operation, which must answer even if the actor does not."""
        try:
            return await self.actors.ask(actor, message, 2.0)
        except (ActorUnavailable, MeshError):
            return otherwise


def text(body: Mapping[str, Any], key: str) -> str:
    """Raises InvalidRequestError."""
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"`{key}` is missing", param=key)
    return value


def number(given: Mapping[str, Any], key: str) -> float | None:
    """A number of zero or more, None if missing. Raises InvalidRequestError."""
    value = given.get(key)
    if value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 <= found < math.inf:
        raise InvalidRequestError(f"{key} must be a number of zero or more, not {value!r}", param=key)
    return found
