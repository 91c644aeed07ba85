"""Secret stores that are killed, hang and come back, with requests in flight: the daemon continues with what it
knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshd.cli.show.status import troubles
from tests.support.daemons.pool_rule_cases import events, provider
from tests.support.daemons.stress.key_load import under_load
from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.secret_stores.connect import Connect
from tests.support.secret_stores.service import TOKEN
from tests.support.secret_stores.vault import Vault

QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}
OLD, NEW, OTHER = "sk-the-old-key-000000", "sk-the-new-key-111111", "sk-the-other-key-2222"


@pytest.fixture
def keyed() -> Iterator[KeyedProvider]:
    upstream = KeyedProvider(OLD, NEW, OTHER)
    yield upstream
    upstream.close()


@pytest.fixture
def vault() -> Iterator[Vault]:
    server = Vault()
    server.set("K", OLD)
    yield server
    server.close()


@pytest.fixture
def connect() -> Iterator[Connect]:
    server = Connect()
    server.set("L", OTHER)
    yield server
    server.close()


def config(keyed: KeyedProvider, vault: Vault, connect: Connect, **secrets: Any) -> dict[str, Any]:
    """K is in Vault, and L in 1Password, which is asked after Vault."""
    stores = [
        {"connector": "hashicorp.vault.v1", "vault_url": vault.url, "token": TOKEN},
        {"connector": "1password.connect.v1", "connect_url": connect.url, "token": TOKEN, "vault": "Mesh"},
    ]
    return {
        "secrets": {"store": stores, "cache_ttl": "100ms", "timeout": "2s", **secrets},
        "providers": {"p": keyed.provider(api_key="${secrets:K}"), "q": keyed.provider(api_key="${secrets:L}")},
        "models": {
            f"{name}.m": {"provider": name, "model": "m", "capabilities": ["chat-completion"]} for name in ("p", "q")
        },
        "discovery": QUIET,
    }


@pytest.fixture
def started(meshd: Any, eventually: Callable[..., Any]) -> Callable[[Any], Any]:
    """A daemon that has its secrets: on a slow machine, the first read may take longer than `timeout`."""

    def start(raw: Any) -> Any:
        daemon = meshd(raw)
        eventually(lambda: all(provider(daemon, name).get("available") for name in ("p", "q")))
        return daemon

    return start


def errors(daemon: Any) -> dict[str, str]:
    return {store["store"]: store["error"] for store in daemon.status()["secrets"]["stores"]}


def test_a_new_value_is_noticed_when_the_old_one_is_old_enough(
    started: Any, keyed: KeyedProvider, vault: Vault, connect: Connect, eventually: Callable[..., Any]
) -> None:
    daemon = started(config(keyed, vault, connect))
    vault.set("K", NEW)
    eventually(lambda: events(daemon, "secret_rotated", secret="K"))
    daemon.say(model="p.m")
    assert keyed.asked == {NEW: 1}
    assert keyed.refused == 0


@pytest.mark.parametrize("fault", ["hangs", "dies", "fails"])
def test_a_store_that_goes_and_comes_back_fails_no_request(
    started: Any, keyed: KeyedProvider, vault: Vault, connect: Connect, fault: str, eventually: Callable[..., Any]
) -> None:
    daemon = started(config(keyed, vault, connect))

    def go_and_come_back() -> None:
        vault.fault = fault
        eventually(lambda: errors(daemon)["hashicorp.vault.v1"])
        eventually(lambda: "K" in daemon.status()["secrets"]["kept"])
        assert "known values stay in use" in str(list(troubles(daemon.status())))
        assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
        assert provider(daemon, "p")["available"]
        vault.set("K", NEW)
        vault.fault = ""
        eventually(lambda: events(daemon, "secret_rotated", secret="K"))

    assert under_load(daemon, go_and_come_back, more=40, width=8).failed == []
    eventually(lambda: not any(errors(daemon).values()))
    assert daemon.status()["secrets"]["kept"] == {}
    assert events(daemon, "secret_store_unreachable", store="hashicorp.vault.v1")
    assert events(daemon, "secret_store_recovered", store="hashicorp.vault.v1")
    assert keyed.asked[NEW]
    assert not events(daemon, "provider_deactivated")
    for value in (OLD, NEW, OTHER, TOKEN):
        assert value not in daemon.log()


def test_a_daemon_starts_without_its_store(
    meshd: Any, keyed: KeyedProvider, vault: Vault, connect: Connect, eventually: Callable[..., Any]
) -> None:
    vault.fault = "hangs"
    daemon = meshd(config(keyed, vault, connect))
    eventually(lambda: provider(daemon, "q").get("available"))
    assert daemon.say(model="q.m").choices[0].message.content == "hi"
    assert "secret K is missing: hashicorp.vault.v1 did not answer" in str(provider(daemon, "p"))
    vault.fault = ""
    eventually(lambda: provider(daemon, "p").get("available"))
    assert daemon.say(model="p.m").choices[0].message.content == "hi"


def test_a_reload_keeps_what_a_changed_store_cannot_say(
    started: Any, keyed: KeyedProvider, vault: Vault, connect: Connect
) -> None:
    raw = config(keyed, vault, connect, cache_ttl="1h")
    daemon = started(raw)
    vault.fault = "fails"
    raw["secrets"]["timeout"] = "3s"
    daemon.write(raw)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert daemon.say(model="p.m").choices[0].message.content == "hi"
