"""What survives restarts, changes of the storage, and imports: spend, decisions, statistics, and what apps keep."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from meshd.config import MeshConfig
from tests.support.daemons.daemon import Daemon
from tests.support.daemons.stored import PRICE, config, spent
from tests.support.waiting import until

SQLITE, FILES = "modelmesh.sqlite.v1", "modelmesh.local-file.v1"
KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]


class Kept:
    """Of a daemon that has answered three requests."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        for _ in range(3):
            daemon.say(model="chat")
        uploads = daemon.client().files
        self.uploaded = uploads.create(file=("notes.txt", b"what an app keeps"), purpose="user_data").id
        self.said = daemon.client().responses.create(model="chat", input="hi").id
        daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "p.chat", "reason": "too slow"})
        until(lambda: self.counted() == 4)

    def counted(self) -> int:
        rows = self.daemon.ask("GET", "/mesh/v1/stats?since=3600")["data"]
        return sum(row["requests_total"] for row in rows)

    def is_there(self) -> None:
        until(lambda: "too slow" in str(self.daemon.model("p.chat")))
        assert round(spent(self.daemon), 6) == round(4 * PRICE, 6)
        until(lambda: self.counted() == 4)
        client = self.daemon.client()
        assert client.files.content(self.uploaded).read() == b"what an app keeps"
        assert client.responses.retrieve(self.said).id == self.said

    def restart(self, *, kill: bool = False) -> None:
        self.daemon.kill() if kill else self.daemon.stop()
        self.daemon.start()

    def reload(self, **storage: Any) -> None:
        self.daemon.write(config(10 * PRICE, **storage))
        answer = self.daemon.ask("POST", "/mesh/v1/reload")
        assert answer["ok"], answer


@pytest.mark.parametrize("connector", [SQLITE, FILES])
def test_everything_is_there_after_each_restart(meshd: Any, connector: str) -> None:
    kept = Kept(meshd(config(10 * PRICE, connector=connector)))
    for kill in (False, True, False):
        kept.restart(kill=kill)
        kept.is_there()


@pytest.mark.parametrize("connector", [SQLITE, FILES])
def test_what_apps_keep_is_there_whatever_the_policy(meshd: Any, connector: str) -> None:
    daemon = meshd(config(10 * PRICE, connector=connector, sync_policy="in-memory"))
    uploaded = daemon.client().files.create(file=("notes.txt", b"what an app keeps"), purpose="user_data").id
    said = daemon.client().responses.create(model="chat", input="hi").id
    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()
        assert daemon.client().files.content(uploaded).read() == b"what an app keeps"
        assert daemon.client().responses.retrieve(said).id == said
        assert round(spent(daemon), 6) == PRICE


@pytest.mark.parametrize("there", [SQLITE, FILES])
@pytest.mark.parametrize("here", [SQLITE, FILES])
def test_everything_is_taken_along_to_another_storage_and_under_another_key(meshd: Any, here: str, there: str) -> None:
    kept = Kept(meshd(config(10 * PRICE, connector=here, encryption={"key": KEYS[0]})))
    kept.restart()  # so that the rows are of an earlier run
    kept.reload(connector=there, encryption={"key": KEYS[1]})
    kept.is_there()
    kept.restart(kill=True)
    kept.is_there()
    kept.reload(connector=there, compression="zstd")
    kept.restart()
    kept.is_there()


@pytest.mark.parametrize("connector", [SQLITE, FILES])
def test_an_import_removes_nothing_that_apps_keep(meshd: Any, connector: str) -> None:
    daemon = meshd(config(10 * PRICE, connector=connector))
    empty = daemon.ask("GET", "/mesh/v1/state")
    kept = Kept(daemon)
    exported = daemon.ask("GET", "/mesh/v1/state")
    daemon.ask("POST", "/mesh/v1/state", empty)
    assert spent(daemon) == 0
    daemon.ask("POST", "/mesh/v1/state", exported)
    for _ in range(2):
        kept.is_there()
        kept.restart()


def test_a_start_with_another_key_leaves_what_was_counted(meshd: Any) -> None:
    def encrypted(key: str) -> dict[str, Any]:
        return config(10 * PRICE, encryption={"key": key})

    kept = Kept(meshd(encrypted(KEYS[0])))
    kept.daemon.write(encrypted(KEYS[1]))
    kept.restart()
    assert not kept.daemon.status()["state"]["ok"]
    refused = config(10 * PRICE, connector=FILES)
    kept.daemon.write(refused)
    assert "while it is not known what was spent" in str(kept.daemon.ask("POST", "/mesh/v1/reload"))
    kept.daemon.write(encrypted(KEYS[0]))
    assert kept.daemon.ask("POST", "/mesh/v1/reload")["ok"]
    kept.is_there()
    kept.restart()
    kept.is_there()


def test_a_key_of_the_state_is_not_shown() -> None:
    shown = MeshConfig(config(1.0, encryption={"key": KEYS[0]})).dump(redacted=True)
    assert KEYS[0] not in shown
    assert "encryption" in shown
