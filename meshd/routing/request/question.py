"""The question that a decision answers: which model of a pool is asked, for this request and requester, now.

It carries nothing that changes while requests run: stages, strategies and limits that need to know the state of models
get it when they are made.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from meshd.core.needs import RequestNeeds
from meshd.routing.request.estimate import Estimate, upper_bound
from meshd.routing.table.access import DEFAULT_APP
from meshd.routing.table.specs import ANY_APP, AppSpec, ModelSpec, PoolSpec, RoutingTable


class Requester(msgspec.Struct, frozen=True):
    """The caller, and what belongs to one request. app: its rules. account: the name its use is limited under. label:
    the program's name, in whose line it waits. session: names the session, "" without one. random: uniform in [0, 1).
    uid: the user's, by the kernel, -1: unknown. operator: whether it may read what providers said to others, and which
    models its app may not use. gives_way: other requests go first where it has to wait. share: the part of each limit
    on rates that it may fill, together with all others.
    has_key: for providers that take the app's own.
    """

    app: AppSpec = ANY_APP
    account: str = ""
    label: str = ""
    session: str = ""
    random: Callable[[], float] = lambda: 0.5
    uid: int = -1
    operator: bool = False
    gives_way: bool = False
    has_key: bool = False
    share: float = 1.0

    @property
    def owner(self) -> int | str:
        """The owner of what the daemon keeps for the request."""
        return self.uid if self.uid >= 0 else self.account

    @property
    def turn(self) -> str:
        """Who takes turns with others at a limit: its app, or its user with all programs that have no entry."""
        return self.account if self.account != DEFAULT_APP else f"\0{self.uid}"

    def may_see(self, model: str) -> bool:
        """Whether errors and explanations may name the model."""
        return self.operator or self.app.models is None or model in self.app.models


ANONYMOUS = Requester()


class Question(msgspec.Struct):
    """now: UTC seconds. estimated: the last estimate, which a decision and what it takes both ask for."""

    table: RoutingTable
    pool: PoolSpec
    needs: RequestNeeds
    now: float
    requester: Requester = ANONYMOUS
    estimated: tuple[ModelSpec, Estimate] | None = None

    def estimate(self, model: ModelSpec) -> Estimate:
        """The most that this request can use of the model."""
        known = self.estimated
        if known is not None and known[0] is model:
            return known[1]
        found = self._estimate(model)
        self.estimated = model, found
        return found

    def _estimate(self, model: ModelSpec) -> Estimate:
        needs = self.needs
        if self.pool.mark_caches and not needs.caches:
            needs = msgspec.structs.replace(needs, caches="short")
        return upper_bound(needs, model)
