"""`modelmesh.create` where the packages that run an embedded mesh are missing, or are another's."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

import modelmesh

WITHOUT_THE_DAEMONS_PACKAGES = """
import sys
sys.modules["pykka"] = None
import modelmesh
try:
    modelmesh.create("chat-completion", config={})
except modelmesh.ConfigurationError as error:
    print(error)
"""


def test_a_missing_package_is_told_with_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_DAEMONS_PACKAGES], capture_output=True, text=True, timeout=40, check=True
    )
    assert "pip install '.[daemon]'" in done.stdout
    assert "pykka" in done.stdout


def offer(monkeypatch: pytest.MonkeyPatch, *starts: Any) -> None:
    """Only these are installed as what runs an embedded mesh."""
    offered = [SimpleNamespace(load=lambda start=start: start) for start in starts]
    monkeypatch.setattr(metadata, "entry_points", lambda group: offered if group == "modelmesh.embedded" else [])


def test_where_no_package_offers_one_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    with pytest.raises(modelmesh.ConfigurationError, match="no package offers one"):
        modelmesh.create("chat-completion", config={})


def test_a_mesh_of_another_package_is_started_as_asked_and_ends_with_its_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    ended: list[str] = []

    def start(config: Any, **wishes: Any) -> Any:
        asked.append((config, wishes))
        return SimpleNamespace(address="inproc://other", shutdown=lambda drain=None: ended.append("shut down"))

    offer(monkeypatch, start)
    client = modelmesh.create("a", "b", config={"x": 1}, providers="p", strategy="s", state_dir="/nowhere")
    wishes = {"pools": ("a", "b"), "providers": "p", "models": None, "strategy": "s", "state_dir": "/nowhere"}
    assert asked == [({"x": 1}, wishes)]
    assert not client.is_closed()
    assert ended == []
    client.close()
    assert ended == ["shut down"]
    assert client.is_closed()


def test_wishes_without_a_configuration_are_refused() -> None:
    with pytest.raises(ValueError, match=r"strategy, state_dir: .* pass config="):
        modelmesh.create("a", strategy="s", state_dir="/nowhere")
