"""What a machine lacks is told in one line, with what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.app import main as app


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The daemon sets its own, which other tests of this process must not have."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=repr)
def test_no_threads_or_memory(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_: object) -> int:
        raise error

    (tmp_path / "mesh.yaml").write_text("daemon: {watch: false}\n")
    monkeypatch.setattr(app.Process, "run", fail)
    options = app.parse(["--config", str(tmp_path / "mesh.yaml"), "--socket", str(tmp_path / "s")])
    assert app.run(options) == app.EX_OSERR
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "ulimit" in told[0]


def test_an_address_of_a_network_is_not_a_socket(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mesh.yaml").write_text("{}\n")
    options = app.parse(["--config", str(tmp_path / "mesh.yaml"), "--socket", "tcp://127.0.0.1:99"])
    assert app.run(options) == app.EX_UNAVAILABLE
    assert "give its path" in capsys.readouterr().err
    assert not (tmp_path / "tcp:").exists()
