"""A secret store that is down when the daemon starts, and another section than `providers` needs a secret of it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelmesh.errors import BudgetExceededError, MeshError
from tests.support.daemons import stored
from tests.support.daemons.daemon import Daemon
from tests.support.daemons.stored import PRICE, remote, spent
from tests.support.network.certificates import Authority
from tests.support.secret_stores.service import TOKEN
from tests.support.secret_stores.vault import Vault
from tests.support.storages.guarded import GuardedRedis
from tests.support.telemetry.receiver import Receiver
from tests.support.waiting import until

PASSWORD = "the-password-of-redis"
KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]


@pytest.fixture
def vault() -> Iterator[Vault]:
    server = Vault()
    server.set("STATE_KEY", KEYS[0])
    server.set("PASSWORD", PASSWORD)
    server.set("SIGNING", "a-signing-key-of-a-webhook")
    yield server
    server.close()


def config(vault: Vault, limit: float, **storage: Any) -> dict[str, Any]:
    """`free` is a model that no budget applies to."""
    made = stored.config(limit, **storage)
    store = {"connector": "hashicorp.vault.v1", "vault_url": vault.url, "token": TOKEN}
    made["secrets"] = {"store": [store], "cache_ttl": "100ms", "timeout": "1s"}
    made["providers"]["q"] = {"connector": "modelmesh.scripted.v1", "script": [{"reply": "free"}], "cycle": True}
    made["models"]["q.free"] = {"provider": "q", "capabilities": ["chat-completion"]}
    made["pools"]["free"] = {"models": ["q.free"]}
    return made


def encrypted(vault: Vault, connector: str, limit: float = 4.5 * PRICE) -> dict[str, Any]:
    return config(vault, limit, connector=connector, encryption={"key": "${secrets:STATE_KEY}"})


def refused(daemon: Daemon) -> str:
    with pytest.raises(BudgetExceededError) as caught:
        daemon.say(model="chat")
    return str(caught.value)


def answers(daemon: Daemon) -> bool:
    try:
        daemon.say(model="chat")
    except BudgetExceededError:
        return False
    return True


@pytest.fixture(params=["modelmesh.sqlite.v1", "modelmesh.local-file.v1"])
def connector(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_budget_is_not_overrun_while_the_key_of_the_state_is_not_known(
    vault: Vault, meshd: Any, connector: str, eventually: Callable[..., Any]
) -> None:
    daemon = meshd(encrypted(vault, connector))
    for _ in range(3):
        daemon.say(model="chat")
    uploaded = daemon.client().files.create(file=("notes.txt", b"what an app keeps"), purpose="user_data")
    assert daemon.stop() == 0
    vault.fault = "dies"
    daemon.start()
    assert daemon.say(model="free").choices[0].message.content == "free"
    assert "cannot be read: storage.encryption waits for the secret STATE_KEY" in refused(daemon)
    status = daemon.status()
    assert any("requests that a budget pays for are refused" in note for note in status["notes"])
    assert not status["state"]["ok"]
    vault.fault = ""
    eventually(lambda: daemon.status()["state"]["ok"])
    eventually(lambda: round(spent(daemon), 6) == round(3 * PRICE, 6))
    daemon.say(model="chat")
    assert "has spent" in refused(daemon)
    assert daemon.client().files.content(uploaded.id).read() == b"what an app keeps"
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.client().files.content(uploaded.id).read() == b"what an app keeps"
    assert round(spent(daemon), 6) == round(4 * PRICE, 6)
    assert KEYS[0] not in daemon.log()


def test_state_is_left_as_it_is_with_another_key(vault: Vault, meshd: Any, connector: str) -> None:
    daemon = meshd(encrypted(vault, connector))
    for _ in range(3):
        daemon.say(model="chat")
    assert daemon.stop() == 0
    vault.set("STATE_KEY", KEYS[1])
    daemon.start()
    daemon.say(model="free")
    assert "storage.encryption has another key" in refused(daemon)
    with pytest.raises(MeshError, match="cannot be exported: what is stored cannot be read"):
        daemon.ask("GET", "/mesh/v1/state")
    with pytest.raises(MeshError, match="cannot be imported: what is stored cannot be read"):
        daemon.ask("POST", "/mesh/v1/state", {"version": 1, "tables": {}, "usage": {}})
    assert daemon.stop() == 0
    vault.set("STATE_KEY", KEYS[0])
    daemon.start()
    assert round(spent(daemon), 6) == round(3 * PRICE, 6)
    daemon.say(model="chat")
    assert "has spent" in refused(daemon)


def test_a_remote_storage_waits_for_its_password(
    vault: Vault, meshd: Any, short: Path, eventually: Callable[..., Any]
) -> None:
    server = GuardedRedis(Authority(short))
    try:
        server.allow(PASSWORD)
        given = {"connector": "redis.redis.v1", **server.guarded("${secrets:PASSWORD}")}
        daemon = meshd(config(vault, 2.5 * PRICE, node="one", **given))
        daemon.say(model="chat")
        eventually(lambda: remote(daemon)["copied_at"] and not remote(daemon)["pending"])
        assert daemon.stop() == 0
        vault.fault = "hangs"
        daemon.start()
        assert "waits for the secret PASSWORD" in remote(daemon)["error"]
        assert round(spent(daemon), 6) == PRICE
        vault.fault = ""
        eventually(lambda: remote(daemon)["copied_at"] and not remote(daemon)["error"])
        eventually(lambda: answers(daemon))  # once the storage has given this daemon its part
        refused(daemon)
    finally:
        server.close()


def test_a_webhook_waits_for_its_key(vault: Vault, meshd: Any, eventually: Callable[..., Any]) -> None:
    receiver = Receiver()
    try:
        made = config(vault, 100 * PRICE)
        sink = {"connector": "modelmesh.webhook.v1", "url": receiver.url, "secret": "${secrets:SIGNING}"}
        made["observability"] = {"logging": [sink, "modelmesh.console.v1"]}
        vault.fault = "fails"
        daemon = meshd(made)
        daemon.say(model="chat")
        assert any("sink of observability.logging" in note for note in daemon.status()["notes"])
        vault.fault = ""
        eventually(lambda: not any("observability" in note for note in daemon.status()["notes"]))
        daemon.say(model="chat")
        until(lambda: receiver.got, what="a delivery")
        assert receiver.got[0][0]["webhook-signature"]
    finally:
        receiver.stop()


def test_a_reload_does_not_need_the_store_either(vault: Vault, meshd: Any) -> None:
    made = config(vault, 100 * PRICE)
    vault.fault = "dies"
    daemon = meshd(made)
    sink = {"connector": "modelmesh.webhook.v1", "url": "http://127.0.0.1:9", "secret": "${secrets:SIGNING}"}
    made["observability"] = {"logging": sink}
    daemon.write(made)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    daemon.say(model="chat")


def test_what_protects_is_never_left_out(vault: Vault, meshd: Any) -> None:
    made = config(vault, 100 * PRICE)
    made["daemon"] = {"curve": {"secret_key": "${secrets:STATE_KEY}"}, "listen": ["tcp://127.0.0.1:0"]}
    made["daemon"]["curve"]["allowed_clients"] = [{"key": "x" * 40, "app": "mail"}]
    made["apps"] = {"mail": {"pools": ["chat"]}}
    vault.fault = "dies"
    daemon = meshd(made, start=False)
    daemon.spawn()
    assert daemon.wait() == 78
    assert "secret STATE_KEY is missing" in daemon.log()
