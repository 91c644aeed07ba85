"""A key that is replaced in its store, whichever kind that is, under load: no request fails, and no value is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.key_load import under_load
from tests.support.daemons.pool_rule_cases import events
from tests.support.providers.keyed_provider import KeyedProvider
from tests.support.secret_stores.all_kinds import KINDS, AllKinds, lacking

QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}


def old(kind: str) -> str:
    return f"sk-old-of-{kind}"


def new(kind: str) -> str:
    return f"sk-new-of-{kind}"


@pytest.fixture(scope="module")
def keyed() -> Iterator[KeyedProvider]:
    upstream = KeyedProvider(*map(old, KINDS))
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def kept(module_short: Path) -> Iterator[AllKinds]:
    made = AllKinds(module_short)
    for kind in KINDS:
        if not lacking(kind):
            made.set(kind, old(kind))
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(module_meshd: Callable[..., Any], keyed: KeyedProvider, kept: AllKinds) -> Any:
    providers = {
        f"p{number}": keyed.provider(api_key=f"${{secrets:{kept.name(kind)}}}") for number, kind in enumerate(KINDS)
    }
    models = {
        f"p{number}.m": {"provider": f"p{number}", "model": "m", "capabilities": ["chat-completion"]}
        for number in range(len(KINDS))
    }
    secrets = {"store": kept.stores, "timeout": "10s", "cache_ttl": "1h"}
    config = {"secrets": secrets, "providers": providers, "models": models, "discovery": QUIET}
    return module_meshd(config, env=kept.environment)


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_fails(daemon: Any, keyed: KeyedProvider, kept: AllKinds, kind: str) -> None:
    if why := lacking(kind):
        pytest.skip(why)

    def change() -> None:
        keyed.accepted.add(new(kind))  # a key that can be written down is good: who is told of it may use it at once
        kept.set(kind, new(kind))
        keyed.accepted.discard(old(kind))

    load = under_load(daemon, change, more=24, width=8, model=f"p{KINDS.index(kind)}.m")
    assert load.failed == []
    assert keyed.asked[new(kind)]
    [event] = events(daemon, "secret_rotated", secret=kept.name(kind))
    assert new(kind) not in str(event)
    assert not events(daemon, "provider_deactivated")
    log = daemon.log()
    assert new(kind) not in log
    assert old(kind) not in log


def test_no_answer_of_the_daemon_shows_a_value(daemon: Any, kept: AllKinds) -> None:
    shown = "".join(str(daemon.ask("GET", f"/mesh/v1/{path}")) for path in ("status", "config", "providers", "events"))
    for kind in KINDS:
        assert old(kind) not in shown
        assert new(kind) not in shown
    stores = daemon.status()["secrets"]["stores"]
    assert {store["store"] for store in stores} >= {"command", "hashicorp.vault.v1", "aws.parameter-store.v1"}
    assert [store for store in stores if store["error"]] == []
