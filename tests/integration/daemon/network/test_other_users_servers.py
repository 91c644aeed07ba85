"""A server that another user of the machine runs, with real users: no daemon finds it, and it gets no prompt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.apps.other_users.posing import Posing
from tests.support.daemons.pool_rule_cases import events

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

OTHER, SYSTEM = 54_321, 33


def config(*servers: str, **providers: Any) -> dict[str, Any]:
    return {
        "providers": providers,
        "pools": {"chat": {"capability": "chat-completion"}},
        "discovery": {"health": {"enabled": False}, "local": {"enabled": bool(servers), "servers": list(servers)}},
    }


def at(port: int) -> dict[str, str]:
    return {"OLLAMA_HOST": f"127.0.0.1:{port}"}


def models(daemon: Any) -> list[str]:
    return [row["id"] for row in daemon.ask("GET", "/mesh/v1/pools/chat")["models"]]


def discover(daemon: Any) -> list[dict[str, Any]]:
    return [row for row in daemon.ask("POST", "/mesh/v1/discover")["data"] if row["kind"] == "local"]


def refused(daemon: Any) -> list[str]:
    return [event["reason"] for event in events(daemon, "local_server_distrusted")]


def test_it_gets_nothing(meshd: Any, pose: Callable[..., Posing], eventually: Any) -> None:
    posing = pose(OTHER)
    daemon = meshd(config("ollama"), env=at(posing.port))
    (row,) = discover(daemon)
    assert (row["models"], row["error"].partition(";")[0]) == (0, "not used: it is served by the user 54321")
    assert models(daemon) == []
    with pytest.raises(Exception, match="chat"):
        daemon.say(model="chat")
    eventually(lambda: len(refused(daemon)) == 1)
    assert posing.asked == []


@pytest.mark.parametrize("uid", [0, SYSTEM])
def test_a_server_that_changes_hands_gets_no_request(
    meshd: Any, pose: Callable[..., Posing], eventually: Any, uid: int
) -> None:
    own = pose(uid)
    daemon = meshd(config("ollama"), env=at(own.port))
    eventually(lambda: models(daemon) == ["ollama.a"])
    assert daemon.say(model="chat").choices[0].message.content == "posed"
    own.close()
    posing = pose(OTHER, own.port)
    with pytest.raises(Exception, match="54321"):  # before the next scan
        daemon.say(model="ollama.a")
    (row,) = discover(daemon)
    assert "54321" in row["error"]
    eventually(lambda: models(daemon) == [])
    assert posing.asked == []
    assert any("54321" in event["reason"] for event in events(daemon, "discovery_models_updated"))
    assert [note for note in daemon.status()["notes"] if "54321" in note and "no longer used" in note]
    posing.close()
    pose(uid, own.port)
    discover(daemon)
    eventually(lambda: models(daemon) == ["ollama.a"])
    assert not [note for note in daemon.status()["notes"] if "54321" in note]


def test_a_configured_one_is_used_and_told_of(meshd: Any, pose: Callable[..., Posing], eventually: Any) -> None:
    posing = pose(OTHER)
    named = {"connector": "openai-compatible.v1", "base_url": f"http://localhost:{posing.port}/v1",
             "auth": {"method": "none"}}  # fmt: skip
    daemon = meshd(config(house=named))
    eventually(lambda: models(daemon) == ["house.a"])
    assert daemon.say(model="chat").choices[0].message.content == "posed"
    eventually(lambda: [note for note in daemon.status()["notes"] if "54321" in note and "house" in note])
    assert ["house" in reason for reason in refused(daemon)] == [True]
    environment = {**os.environ, "MESH_SOCKET": str(daemon.socket), "HOME": str(daemon.directory)}
    command = [sys.executable, "-m", "meshd.cli", "doctor"]
    doctor = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "warning note: provider house is at" in doctor.stdout


def test_a_file_that_does_not_ask_for_servers_gets_none(
    meshd: Any, pose: Callable[..., Posing], eventually: Any
) -> None:
    own = pose(0)
    silent = config()
    del silent["discovery"]["local"]
    daemon = meshd(silent, env=at(own.port))
    assert discover(daemon) == []
    daemon.write(config("ollama"))
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    eventually(lambda: models(daemon) == ["ollama.a"])
    daemon.write(silent)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    eventually(lambda: models(daemon) == [])


def test_its_name_is_not_taken_from_the_configuration(
    meshd: Any, pose: Callable[..., Posing], upstream: Any, eventually: Any
) -> None:
    server = upstream({"models": ["mine"]})
    found = pose(0, models=("mine", "gpt-4o"))
    daemon = meshd(config("ollama"), env=at(found.port))
    eventually(lambda: models(daemon) == ["ollama.mine", "ollama.gpt-4o"])
    daemon.write(config("ollama", ollama=server.provider()))
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    discover(daemon)
    # The provider of that name has its own models alone, and the server another name.
    port = found.port
    eventually(lambda: models(daemon) == ["ollama.mine", f"ollama-{port}.mine", f"ollama-{port}.gpt-4o"])
