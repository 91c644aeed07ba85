"""Which app a caller is, according to the running configuration.

Owns: the order of the matches, an app's names, and who is an administrator.
Must never: do I/O (names were looked up when the generation was made), or count usage.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from meshd.core.caller import Caller
from meshd.core.needs import Named
from meshd.gateway.frontends.admission import STRANGERS_MESSAGE, Rights
from meshd.routing.table.access import DEFAULT_APP, AppMatch, allowed_models, allowed_pools, forbidden, may_ask
from meshd.routing.table.specs import AppSpec, RoutingTable, Target
from modelmesh.errors import AccessDeniedError
from modelmesh.wording import few, short, told

REMEMBERED = 4096
"""How many callers are remembered, and how many labels with the time when each was last seen."""


@dataclass(frozen=True, slots=True)
class Identity:
    """spec: what it may do. account: the name that its use is limited under: the matched entry of `apps`, the app of a
    token without an entry, else `default`. All others share that one account, since a process may give itself any name.
    label: its name in statistics."""

    spec: AppSpec
    account: str
    label: str


class AppMatcher:
    """Matches callers for one running configuration. before: the matcher of the previous one, whose times of last use
    are kept. remembered: how many callers, and labels. of_tokens: apps that hold a token and have no entry."""

    def __init__(
        self,
        table: RoutingTable,
        matches: Iterable[AppMatch] = (),
        before: AppMatcher | None = None,
        own_uid: int | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        self._remembered = remembered
        self._table = table
        self._apps = table.apps
        self._matches = tuple(matches)
        self.of_tokens = frozenset(match.app for match in self._matches if match.tokens).difference(self._apps)
        self._default = table.apps.get(DEFAULT_APP, AppSpec(DEFAULT_APP))
        self._own_uid = os.getuid() if own_uid is None else own_uid
        self._known: dict[Caller, Identity] = {}
        self.last_seen: dict[str, float] = before.last_seen if before is not None else {}

    def identify(self, caller: Caller, at: float | None = None) -> Identity:
        """The caller's app: the first entry that matches, else `default`. at: the time of a request, UTC s, which is
        recorded."""
        found = self._known.get(caller)
        if found is None:
            if len(self._known) >= self._remembered:
                self._known.clear()
            found = self._known[caller] = self._match(caller)
        if at is not None:
            if found.label not in self.last_seen and len(self.last_seen) >= self._remembered:
                del self.last_seen[min(self.last_seen, key=self.last_seen.__getitem__)]
            self.last_seen[found.label] = at
        return found

    def named(self, name: str) -> Identity | None:
        """The configured app of that name, or an app without an entry that has a token or has sent requests before;
        else None."""
        if name in self.of_tokens:
            return Identity(self._default, name, name)
        spec = self._default if name == DEFAULT_APP else self._apps.get(name)
        if spec is None:
            return Identity(self._default, DEFAULT_APP, name) if name in self.last_seen else None
        return Identity(spec, spec.name, spec.name)

    def check(self, identity: Identity, target: Target, names: Iterable[Named] = ()) -> None:
        """Raises AccessDeniedError if the app may not ask for that. names: of further models, in the body."""
        spec, table = identity.spec, self._table
        named = forbidden(names, spec, table)
        if named is not None:
            raise AccessDeniedError(
                told(
                    f"{short(identity.label)} may not use {short(repr(named))}; ask for another, or change `apps`.",
                    f"the body names it; the rules are apps.{spec.name}",
                ),
                app=identity.label,
                allowed=[model.id for model in allowed_models(spec, table)],
            )
        if may_ask(spec, target, table):
            return
        if target.kind == "model":
            what = f"model {target.pool.name}"
            allowed = [model.id for model in allowed_models(spec, table)]
        else:
            what = f"pool {target.pool.name}"
            allowed = [pool.name for pool in allowed_pools(spec, table)]
        raise AccessDeniedError(
            told(
                f"{short(identity.label)} may not use {short(what)}; ask for what it may use, or change `apps`.",
                f"allowed by apps.{spec.name}: {few(allowed, _NAMED) or 'nothing'}",
            ),
            app=identity.label,
            allowed=allowed,
        )

    def is_admin(self, caller: Caller) -> bool:
        """Whether the caller is root, the daemon's own user, or an app with `admin: true`."""
        return caller.uid in (0, self._own_uid) or self.identify(caller).spec.admin

    def rights(self, caller: Caller, largest: int) -> Rights:
        """largest: bytes of a message, for anyone."""
        spec, operator = self.identify(caller).spec, self.is_admin(caller)
        allowed = spec.max_message_size or (largest if operator else STRANGERS_MESSAGE)
        if allowed >= largest:
            return _rights(operator, largest)
        return _rights(operator, allowed, spec.name)

    def _match(self, caller: Caller) -> Identity:
        for match in self._matches:
            if match.holds(caller, self._own_uid):
                return Identity(self._apps.get(match.app, self._default), match.app, match.app)
        name = caller.app
        # A process chooses this name itself, so it must not appear under another app in statistics.
        taken = name in self._apps or name in self.of_tokens or name == DEFAULT_APP
        label = f"{name} (uid {caller.uid})" if taken else name
        return Identity(self._default, DEFAULT_APP, label)


@lru_cache(maxsize=256)
def _rights(operator: bool, max_message_size: int, app: str | None = None) -> Rights:
    """app: whose own limit the size is; None: the daemon's."""
    if app is None:
        return Rights(operator, max_message_size)
    return Rights(operator, max_message_size, f"apps.{app}.max_message_size")


_LONGEST_NAME = 100  # characters of a model's name in a body
_NAMED = 10  # allowed names in a message; the error's field has all of them
