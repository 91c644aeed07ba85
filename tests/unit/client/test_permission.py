"""A socket that is there and closed to this user is told as that, at once."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

import modelmesh
from modelmesh import discovery


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = str(tmp_path / "m.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(path)
    real = os.access

    def access(which: str, mode: int, **options: bool) -> bool:
        return False if which == path else real(which, mode, **options)

    monkeypatch.setattr(discovery.os, "access", access)  # root may do everything
    return path


def test_permission_is_told_as_permission_and_at_once(closed: str) -> None:
    began = time.monotonic()
    raised = pytest.raises(modelmesh.DaemonUnavailableError)
    with modelmesh.OpenAIClient(closed, max_retries=0) as client, raised as caught:
        client.models.list()
    assert time.monotonic() - began < 4.0, "an absent daemon is waited for; permission does not come by waiting"
    sentence, *details = caught.value.message.split("\n")
    assert sentence == "Permission denied for the daemon's socket; ask for membership of its group."
    assert closed in details[0]
    assert caught.value.extra["permitted"] is False


def test_a_folder_that_cannot_be_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(discovery.os, "stat", stat)
    assert "/run/meshd" in discovery.barred("/run/meshd/mesh.sock")


def test_nothing_bars_what_is_not_there(tmp_path: Path) -> None:
    assert discovery.barred(str(tmp_path / "none.sock")) == ""
