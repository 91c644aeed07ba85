"""Apps by what the kernel says: this test's own process is one, whatever it calls itself."""

from __future__ import annotations

import os
import pwd
import sys
from typing import Any

import pytest

from modelmesh import MeshError

ME = pwd.getpwuid(os.getuid()).pw_name
PYTHON = os.path.realpath(sys.executable)


def config(**apps: Any) -> dict[str, Any]:
    return {
        "providers": {"echo": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}]}},
        "models": {name: {"provider": "echo"} for name in ("echo.one", "echo.two")},
        "pools": {"open": {"models": ["echo.one", "echo.two"]}, "closed": {"models": ["echo.two"]}},
        "apps": apps,
    }


def you(daemon: Any) -> Any:
    return daemon.ask("GET", "/mesh/v1/describe")["you"]


def models(daemon: Any) -> list[str]:
    return [model["id"] for model in daemon.ask("GET", "/v1/models")["data"]]


def test_a_program_may_use_what_its_entry_says(meshd: Any) -> None:
    never = {"match": {"exe": PYTHON, "gid": 2**31 - 2}, "pools": []}
    tests = {"match": {"exe": PYTHON, "user": ME}, "pools": ["open"]}
    daemon = meshd(config(never=never, tests=tests))
    found = you(daemon)
    assert (found["app"], found["account"], found["exe"]) == ("tests", "tests", PYTHON)
    assert daemon.say(model="open").mesh.pool == "open"
    assert daemon.say(model="echo.two").mesh.model == "echo.two"
    with pytest.raises(MeshError) as caught:
        daemon.say(model="closed")
    assert (caught.value.status_code, caught.value.allowed) == (403, ["open"])
    assert models(daemon) == ["open", "echo.one", "echo.two"]
    [row] = daemon.ask("GET", "/mesh/v1/apps?name=tests")["data"]
    assert row["requests"] - row["failed"] == 2
    assert row["connected"] >= 1
    assert row["last_seen"] is not None


def test_a_reload_applies_to_connected_clients(meshd: Any) -> None:
    daemon = meshd(config(default={"models": ["echo.two"]}))
    assert you(daemon)["account"] == "default"
    assert daemon.say(model="open").mesh.model == "echo.two"
    assert {"open", "closed", "echo.two", "echo.one"} - set(models(daemon)) == {"echo.one"}
    daemon.write(config(tests={"match": {"uid": os.getuid()}, "pools": ["closed"]}))
    daemon.ask("POST", "/mesh/v1/reload")
    assert you(daemon)["account"] == "tests"
    with pytest.raises(MeshError) as caught:
        daemon.say(model="open")
    assert caught.value.code == "access_denied"
