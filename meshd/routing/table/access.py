"""Who may use what: the rules of `apps`.

Owns: when a caller satisfies a `match`, and which pools and models an app may ask for.
Must never: identify a caller (`meshd/gateway/frontends/peer_identity.py`), or count what an app uses (`accounts.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from meshd.core.caller import Caller, Peer, Token
from meshd.core.needs import Named
from meshd.routing.table.specs import AppSpec, ModelSpec, PoolSpec, RoutingTable, Target

DEFAULT_APP = "default"
"""The entry for every app that matches no other, and the account that these apps share."""


@dataclass(frozen=True, slots=True)
class AppMatch:
    """`apps.NAME.match`, its names looked up. Empty fields are not compared; all others have to match, so an app cannot
    have two user ids. exe: with its symbolic links resolved. unit: a name, or a pattern such as "mail@*.service".
    tokens: their digests; an entry with tokens is for their holders alone."""

    app: str
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    exe: str = ""
    unit: str = ""
    tokens: frozenset[str] = frozenset()

    def holds(self, caller: Caller, own_uid: int) -> bool:
        """own_uid: the user that the daemon runs as."""
        if isinstance(caller, Token):
            return caller.digest in self.tokens
        return (
            not self.tokens
            and self.uids <= {caller.uid}
            and self.gids <= {caller.gid, *caller.groups}
            and self.exe in ("", caller.exe)
            and (not self.unit or self._is_unit(caller, own_uid))
        )

    def _is_unit(self, process: Peer, own_uid: int) -> bool:
        """Users name their own services freely: such a name is trusted only if the match names the user as well, or it
        is the daemon's own user, who may do everything anyway."""
        believed = bool(self.uids) or process.uid == own_uid
        return fnmatchcase(process.unit if believed else process.system_unit, self.unit)


def may_use_pool(app: AppSpec, pool: PoolSpec) -> bool:
    """Whether it may use the pool, by name, by capability or as a fallback: the pool is allowed, and at least one of
    its members."""
    if app.pools is not None and pool.name not in app.pools:
        return False
    return app.models is None or not pool.members or not app.models.isdisjoint(pool.members)


def may_use_model(app: AppSpec, model: ModelSpec, table: RoutingTable) -> bool:
    """Whether it may ask for this very model. `models` says which; without it, those of the allowed pools."""
    if app.models is not None:
        return model.id in app.models
    return app.pools is None or any(pool in app.pools for pool in table.pools_of(model.id))


def may_ask(app: AppSpec, target: Target, table: RoutingTable) -> bool:
    if target.kind == "model":
        return may_use_model(app, table.models[target.pool.members[0]], table)
    return may_use_pool(app, target.pool)


def allowed_pools(app: AppSpec, table: RoutingTable) -> list[PoolSpec]:
    return [pool for pool in table.pools.values() if may_use_pool(app, pool)]


def allowed_models(app: AppSpec, table: RoutingTable) -> Collection[ModelSpec]:
    if app.models is None and app.pools is None:
        return table.models.values()
    if app.models is not None:
        return [model for model in table.models.values() if model.id in app.models]
    members = {id for pool in allowed_pools(app, table) for id in pool.members}
    return [model for model in table.models.values() if model.id in members]


def allowed_aliases(app: AppSpec, table: RoutingTable) -> dict[str, Target]:
    """Those that it may use, by the names under which lists show them, each with what it stands for."""
    found = {}
    for alias in table.aliases.all:
        name = alias.listed_as
        target = None if name is None else table.find(name)
        if name is not None and target is not None and target.alias == alias.name and may_ask(app, target, table):
            found[name] = target
    return found


def pools_to_try(pool: PoolSpec, app: AppSpec, table: RoutingTable) -> list[PoolSpec]:
    """The pool and its fallback pools that the app may use, each once; a fallback pool's own come after its
    siblings."""
    found = [pool]
    for each in found:  # the list grows during the loop
        for name in each.fallback_pools:
            further = table.pools.get(name)
            if further is not None and further not in found and may_use_pool(app, further):
                found.append(further)
    return found


def takes_app_keys(pool: PoolSpec, app: AppSpec, table: RoutingTable) -> bool:
    """Whether a model that may answer is of a provider that takes the app's own key."""
    pools = pools_to_try(pool, app, table) if table.app_keys else ()
    return any(table.providers[table.models[id].provider].app_keys for each in pools for id in each.members)


def forbidden(names: Iterable[Named], app: AppSpec, table: RoutingTable) -> str | None:
    """The first of the models that a body names which the app may not use; None if there is none."""
    if app.models is None and app.pools is None:
        return None
    found = set(names)
    if not found:
        return None
    allowed = _may_name(app, table)
    known = {each.casefold() for model in table.models.values() for each in (model.id, model.upstream)}
    known -= {each.casefold() for each in allowed}
    wrong = (each.name for each in found if (each.name not in allowed if each.sure else each.name.casefold() in known))
    return min(wrong, default=None)


def _may_name(app: AppSpec, table: RoutingTable) -> set[str]:
    ids = set(table.models) if app.models is None else {id for id in app.models if id in table.models}
    if app.pools is not None:
        members = {id for name in app.pools if name in table.pools for id in table.pools[name].members}
        ids = ids & members if app.models is None else ids
    return ids | {table.models[id].upstream for id in ids}
