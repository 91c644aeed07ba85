"""Every kind of store, under load: a key is replaced in it; it is killed, hangs, is full, and comes back with another
key. No request fails, and no value is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.pool_rule_cases import events
from tests.support.daemons.stress.key_load import under_load
from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.secret_stores.all_kinds import KINDS, AllKinds, lacking
from tests.support.secret_stores.outages import OUTAGES, Outages

QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}
HERE = [kind for kind in KINDS if not lacking(kind)]
MODELS = {kind: f"p{number}.m" for number, kind in enumerate(KINDS)}


class Keys:
    """kept: where they are. keyed: whom they are for. A key that can be written down is good: who is told of it may use
    it at once."""

    def __init__(self, kept: AllKinds, keyed: KeyedProvider) -> None:
        self.kept, self.keyed = kept, keyed
        self.all: list[str] = []
        self._of: dict[str, str] = {}
        self.replace(HERE)

    def replace(self, kinds: list[str]) -> None:
        """By new ones."""
        for kind in kinds:
            self._of[kind] = f"sk-{len(self.all)}-of-{kind}"
            self.all.append(self._of[kind])
            self.keyed.accepted.add(self._of[kind])
            self.kept.set(kind, self._of[kind])

    def revoke(self, kind: str) -> None:
        """All but the newest."""
        self.keyed.accepted -= {key for key in self.all if key.endswith(f"-of-{kind}") and key != self._of[kind]}

    def are_used(self, kinds: list[str]) -> bool:
        return all(self.keyed.asked[self._of[kind]] for kind in kinds)


@pytest.fixture(scope="module")
def keys(module_short: Path) -> Iterator[Keys]:
    kept, keyed = AllKinds(module_short), KeyedProvider()
    yield Keys(kept, keyed)
    keyed.close()
    kept.close()


@pytest.fixture(scope="module")
def daemon(module_meshd: Callable[..., Any], keys: Keys) -> Any:
    providers = {
        model.removesuffix(".m"): keys.keyed.provider(api_key=f"${{secrets:{keys.kept.name(kind)}}}")
        for kind, model in MODELS.items()
    }
    models = {
        model: {"provider": model.removesuffix(".m"), "model": "m", "capabilities": ["chat-completion"]}
        for model in MODELS.values()
    }
    secrets = {"store": keys.kept.stores, "timeout": "10s", "cache_ttl": "1h"}
    config = {"secrets": secrets, "providers": providers, "models": models, "discovery": QUIET}
    return module_meshd(config, env=keys.kept.environment)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_replaced(daemon: Any, keys: Keys, kind: str, eventually: Callable[..., Any]) -> None:
    if why := lacking(kind):
        pytest.skip(why)

    def change() -> None:
        keys.replace([kind])
        keys.revoke(kind)

    load = under_load(daemon, change, more=24, width=8, models=[MODELS[kind]])
    assert load.failed == []
    assert keys.are_used([kind])
    [event] = eventually(lambda: events(daemon, "secret_rotated", secret=keys.kept.name(kind)))
    assert "sk-" not in str(event)
    assert not events(daemon, "provider_deactivated")


@pytest.fixture
def fails_no_request(
    daemon: Any, keys: Keys, eventually: Callable[..., Any]
) -> Iterator[Callable[[list[str], str], None]]:
    """`fails_no_request(kinds, outage)`: nor when they are back, with other keys."""
    outages = Outages(keys.kept)

    def unread() -> set[str]:
        daemon.ask("POST", "/mesh/v1/secrets/refresh", {})
        return set(daemon.status()["secrets"]["kept"])

    def check(kinds: list[str], outage: str) -> None:
        def go_and_come_back() -> None:
            for kind in kinds:
                outages.begin(kind, outage)
            eventually(lambda: {keys.kept.name(kind) for kind in kinds} <= unread())
            outages.end_all()
            keys.replace(kinds)
            eventually(lambda: not unread() and keys.are_used(kinds))

        models = [MODELS[kind] for kind in kinds]
        assert under_load(daemon, go_and_come_back, more=2 * len(kinds), width=8, models=models).failed == []
        assert not events(daemon, "provider_deactivated")

    yield check
    outages.end_all()


@pytest.mark.parametrize("outage", OUTAGES)
def test_all_stores_go_at_once(fails_no_request: Callable[[list[str], str], None], outage: str) -> None:
    fails_no_request(HERE, outage)


@pytest.mark.soak
@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("kind", HERE)
def test_each_goes_alone(fails_no_request: Callable[[list[str], str], None], kind: str, outage: str) -> None:
    fails_no_request([kind], outage)


def test_no_answer_of_the_daemon_shows_a_value(daemon: Any, keys: Keys) -> None:
    shown = "".join(str(daemon.ask("GET", f"/mesh/v1/{path}")) for path in ("status", "config", "providers", "events"))
    shown += daemon.log()
    assert [key for key in keys.all if key in shown] == []
    stores = daemon.status()["secrets"]["stores"]
    assert {store["store"] for store in stores} >= {"command", "hashicorp.vault.v1", "aws.parameter-store.v1"}
    assert [store for store in stores if store["error"]] == []
