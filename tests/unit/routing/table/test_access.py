"""Who fits a `match`, and what an app may ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.core.caller import Peer
from meshd.routing.table.access import AppMatch, allowed_models, allowed_pools, may_ask, may_use_model, may_use_pool
from meshd.routing.table.specs import AppSpec, PoolSpec
from tests.support.routing.routing_builders import CHAT, table

DAEMON = 900


def process(system_unit: str = "mail@7.service") -> Peer:
    mail = {"exe": "/usr/bin/mail", "unit": "mail@7.service", "system_unit": system_unit}
    return Peer(1000, 100, groups=frozenset({27, 44}), **mail)


OWN_SERVICE = process(system_unit="user@1000.service")


@pytest.mark.parametrize(
    "fits",
    [
        {"uids": {1000}},
        {"gids": {100}},
        {"gids": {44}},
        {"gids": {100, 27, 44}},
        {"exe": "/usr/bin/mail"},
        {"unit": "mail@7.service"},
        {"unit": "mail@*.service"},
        {"uids": {1000}, "gids": {27}, "exe": "/usr/bin/mail", "unit": "mail@*"},
    ],
)
@pytest.mark.parametrize(
    "besides",
    [{}, {"uids": {1}}, {"gids": {1}}, {"exe": "/usr/bin/other"}, {"unit": "other.service"}],
)
def test_everything_given_has_to_hold(fits, besides):
    def given(**keys):
        return AppMatch(
            "a", **{key: frozenset(value) if isinstance(value, set) else value for key, value in keys.items()}
        )

    assert given(**fits).holds(process(), DAEMON)
    if besides:
        assert not given(**fits | besides).holds(process(), DAEMON)


def test_a_match_of_two_users_matches_no_process():
    assert not AppMatch("a", uids=frozenset({1000, 1001})).holds(process(), DAEMON)


def test_a_users_own_service_has_only_the_name_that_he_gave_it():
    """Anybody can start a `mail@7.service` of his own."""
    named = AppMatch("a", unit="mail@7.service")
    assert not named.holds(OWN_SERVICE, DAEMON)
    assert replace(named, uids=frozenset({1000})).holds(OWN_SERVICE, DAEMON)
    assert not replace(named, uids=frozenset({1001})).holds(OWN_SERVICE, DAEMON)
    assert AppMatch("a", unit="user@1000.service").holds(OWN_SERVICE, DAEMON)
    assert named.holds(OWN_SERVICE, own_uid=1000)  # the user's own daemon


# -- what it may ask for ----------------------------------------------------------------------------------

POOLS = [PoolSpec("one", CHAT, ("p.a", "p.b")), PoolSpec("two", "", ("p.c",)), PoolSpec("none", "", ())]
TABLE = table(["p.a", "p.b", "p.c", "p.alone"], POOLS)


def names(app):
    pools = [pool.name for pool in allowed_pools(app, TABLE)]
    models = [model.id for model in allowed_models(app, TABLE)]
    # The lists are what the questions answer one by one.
    assert pools == [pool.name for pool in POOLS if may_use_pool(app, pool)]
    assert models == [model.id for model in TABLE.models.values() if may_use_model(app, model, TABLE)]
    for name in (*TABLE.pools, *TABLE.models):
        target = TABLE.resolve(name)
        assert may_ask(app, target, TABLE) == (name in pools + models)
    return pools, models


def of(**allowed):
    return AppSpec("a", **{key: frozenset(value) for key, value in allowed.items()})


def test_an_app_without_rules_may_ask_for_everything():
    assert names(of()) == (["one", "two", "none"], ["p.a", "p.b", "p.c", "p.alone"])


def test_pools_are_those_named_and_models_those_in_them():
    assert names(of(pools=["one"])) == (["one"], ["p.a", "p.b"])
    assert names(of(pools=[])) == ([], [])


def test_models_are_those_named_and_pools_those_that_have_one():
    assert names(of(models=["p.a", "p.alone"])) == (["one", "none"], ["p.a", "p.alone"])


def test_both_hold_together():
    assert names(of(pools=["one", "two"], models=["p.a", "p.alone"])) == (["one"], ["p.a", "p.alone"])


def test_a_capability_is_its_pool():
    assert may_ask(of(pools=["one"]), TABLE.resolve("chat-completion"), TABLE)
    assert not may_ask(of(pools=["two"]), TABLE.resolve("chat-completion"), TABLE)
