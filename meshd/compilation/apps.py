"""Apps and allowances: who may do what, and how much.

Owns: the translation of `apps`, and of every budget, quota and count limit into allowances.
Must never: count anything (`meshd/routing/budgets/accounts.py`), or run in the router's thread: a directory service may
take seconds to look up a user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshd.config import MeshConfig
from meshd.config.schema import AppConfig, BudgetConfig, PoolConfig, ProviderConfig, ProviderRateLimitConfig
from meshd.core.caller import of_key
from meshd.core.member_key import member_key
from meshd.host.real_path import real_path
from meshd.host.users import gid_of, uid_of
from meshd.routing.table.access import DEFAULT_APP, AppMatch
from meshd.routing.table.specs import Allowance, AppSpec, Measure, PoolSpec, RateSpec, Window


def compile_app(name: str, app: AppConfig) -> AppSpec:
    rate = app.rate_limit
    # `concurrency` may be given in both places; the smaller one applies.
    at_once = [each for each in (app.concurrency, rate.concurrency) if each is not None]
    return AppSpec(
        name=name,
        pools=None if app.pools is None else frozenset(app.pools),
        models=None if app.models is None else frozenset(app.models),
        rate=RateSpec(rate.rpm, rate.tpm, min(at_once, default=None)),
        priority=app.priority,
        weight=app.weight,
        admin=app.admin,
        passthrough=app.passthrough,
        metrics=app.metrics,
        max_message_size=app.max_message_size,
    )


def known_tokens(config: MeshConfig) -> dict[str, str]:
    """The digests of tokens for HTTP → the apps that hold them."""
    found = {token.hash: token.app for token in config.proxy.auth.tokens}
    return found | {app.match.token: name for name, app in config.apps.items() if app.match.token is not None}


def apps_of_tokens(config: MeshConfig) -> list[str]:
    """Apps that hold a token and have no entry: the rules of `default` apply to each, but its usage is counted
    separately."""
    return sorted(set(known_tokens(config).values()) - config.apps.keys() - {DEFAULT_APP})


def known_keys(config: MeshConfig) -> dict[str, str]:
    """The public CURVE keys of clients → the apps that hold them."""
    found = {client.key: client.app for client in config.daemon.curve.allowed_clients}
    return found | {key: name for name, app in config.apps.items() for key in app.match.curve_key}


def compile_matches(config: MeshConfig) -> Iterator[AppMatch]:
    """In the order of the file, which is the order in which they are tried.

    Entries that nothing can match are left out: the default, which gets all other callers, and any whose user or group
    was removed after the check. Tokens and CURVE keys of an app that is also matched by other keys have an entry of
    their own, and so do the tokens of an app without an entry.
    """
    tokens: dict[str, set[str]] = {}
    held = known_tokens(config) | {of_key(key): app for key, app in known_keys(config).items()}
    for digest, app_name in held.items():
        tokens.setdefault(app_name, set()).add(digest)
    for name in apps_of_tokens(config):
        yield AppMatch(name, tokens=frozenset(tokens[name]))
    for name, app in config.apps.items():
        match = app.match
        if name == DEFAULT_APP:
            continue
        if name in tokens:
            yield AppMatch(name, tokens=frozenset(tokens[name]))
        if match.token is not None or match.curve_key:
            continue
        users = [match.uid, uid_of(match.user) if match.user is not None else None]
        groups = [match.gid, gid_of(match.group) if match.group is not None else None]
        if (match.user is not None and users[1] is None) or (match.group is not None and groups[1] is None):
            continue
        uids, gids = (frozenset(id for id in ids if id is not None) for ids in (users, groups))
        exe = real_path(match.exe) if match.exe else ""
        if uids or gids or exe or match.unit:
            yield AppMatch(name, uids, gids, exe, match.unit or "")


def compile_rate(rate: ProviderRateLimitConfig) -> RateSpec:
    return RateSpec(rate.rpm, rate.tpm, rate.concurrency)


def compile_allowances(config: MeshConfig, pools: Iterable[PoolSpec]) -> Iterator[Allowance]:
    """The allowances of every scope."""
    for scope, section in (
        ("provider", config.providers),
        ("model", config.models),
        ("pool", config.pools),
        ("app", config.apps),
    ):
        for name, entry in section.items():
            yield from _of_budget(scope, name, entry.budget)
    if DEFAULT_APP in config.apps:
        for name in apps_of_tokens(config):
            yield from _of_budget("app", name, config.apps[DEFAULT_APP].budget)
    for name, provider in config.providers.items():
        yield from _of_quota(name, provider)
    for pool in pools:
        configured = config.pools.get(pool.name)
        if configured is not None:
            yield from _of_rules(pool, configured)


def _of_budget(scope: str, name: str, budget: BudgetConfig) -> Iterator[Allowance]:
    windows: tuple[tuple[Window, int | None], ...] = (("day", budget.daily_limit), ("month", budget.monthly_limit))
    for window, limit in windows:
        if limit is not None:
            yield Allowance(scope, name, "cost", window, limit, "budget", budget.alert_threshold, budget.enforce)


_QUOTA_WINDOWS: dict[str | None, Window] = {None: "day", "daily": "day", "monthly": "month", "rolling": "rolling"}


def _of_quota(name: str, provider: ProviderConfig) -> Iterator[Allowance]:
    quota = provider.quota
    window = _QUOTA_WINDOWS[quota.reset_schedule]
    limits: tuple[tuple[Measure, int | None], ...] = (("requests", quota.requests), ("tokens", quota.tokens))
    for measure, limit in limits:
        if limit is not None:
            yield Allowance("provider", name, measure, window, limit, "quota")


def _of_rules(pool: PoolSpec, configured: PoolConfig) -> Iterator[Allowance]:
    """`deactivation.request_limit` and the like apply to each member separately."""
    rules = configured.deactivation
    window: Window = {None: "stint", "daily": "day", "monthly": "month"}[rules.quota_window]  # type: ignore[assignment]
    limits: tuple[tuple[Measure, int | None], ...] = (
        ("requests", rules.request_limit),
        ("tokens", rules.token_limit),
        ("cost", rules.budget_limit),
    )
    for model in pool.members:
        for measure, limit in limits:
            if limit is not None:
                yield Allowance("member", member_key(pool.name, model), measure, window, limit, "rule")
