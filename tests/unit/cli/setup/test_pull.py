"""`meshctl pull`: what is shown and told; the fetching itself is `meshd.pull`'s and tested there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.setup import pull as command
from meshd.pull import bring
from meshd.pull.errors import PullError, Unverified
from meshd.pull.store import PulledModel
from modelmesh import DaemonUnavailableError

SHOWN = "smollm2-135m: 10 B, sha256 abababababab…\n"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What was asked of `meshd.pull.bring.pull`, which fetches 10 bytes of nothing."""
    asked: dict[str, Any] = {"there": False}

    def fetch(
        text: str, progress: Any = None, *, base: Any = None, sha256: str | None = None, unverified: bool = False
    ) -> PulledModel:
        asked.update(text=text, base=base, sha256=sha256)
        if text.startswith("https:") and not (unverified or sha256):
            raise Unverified(text)
        if text == "nonsense":
            raise PullError("'nonsense' is not a known model", "known are a, b")
        progress(5, 10)
        progress(10, 10)
        return PulledModel(
            name=text,
            file="a.gguf",
            sha256="ab" * 32,
            size=10,
            source="x",
            folder=str(tmp_path),
            vouched_by="" if unverified else "you" if sha256 else "the catalogue",
            already_there=asked["there"],
        )

    monkeypatch.setattr(bring, "pull", fetch)
    monkeypatch.setattr(bring, "resolve", lambda text, base: asked["there"] or None)
    return asked


def test_fetched_and_the_daemon_told(fake: Any, meshctl: Any, fetched: dict[str, Any]) -> None:
    fake.answers["POST discover"] = {"data": []}
    done = meshctl("pull", "smollm2-135m", "--dir", "/var/lib/meshd")
    assert (done.exit_code, done.stdout) == (0, SHOWN + "checked: the catalogue gave this sha256\n")
    assert (fetched["text"], fetched["base"]) == ("smollm2-135m", Path("/var/lib/meshd"))
    assert [asked for asked, _ in fake.asked] == ["POST /mesh/v1/discover"]


def test_what_nothing_vouches_for_is_taken_only_when_told(fake: Any, meshctl: Any, fetched: dict[str, Any]) -> None:
    fake.answers["POST discover"] = {"data": []}
    url = "https://example.com/m.gguf"
    for more in ((), ("--json",)):
        done = meshctl("pull", url, *more)
        assert done.exit_code == 1
        assert f"not checked: no sha256 is known for {url}; give --sha256" in done.stderr + done.stdout
    taken = meshctl("pull", url, "--unverified")
    assert (taken.exit_code, taken.stdout.splitlines()[-1]) == (0, "not checked: no sha256 is known for this file")
    known = meshctl("pull", url, "--sha256", "ab" * 32)
    assert known.stdout.splitlines()[-1] == "checked: you gave this sha256"
    assert fetched["sha256"] == "ab" * 32


def test_no_daemon_is_no_matter(fake: Any, meshctl: Any, fetched: dict[str, Any]) -> None:
    fake.answers["POST discover"] = DaemonUnavailableError("nobody", paths=[])
    done = meshctl("pull", "a", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sha256"] == "ab" * 32


def test_here_already(fake: Any, meshctl: Any, fetched: dict[str, Any]) -> None:
    fetched["there"] = True
    assert meshctl("pull", "a").stdout == "a is already here (10 B)\n"
    assert fake.asked == []


def test_refused_with_advice(fake: Any, meshctl: Any, fetched: dict[str, Any]) -> None:
    done = meshctl("pull", "nonsense")
    assert (done.exit_code, done.stderr) == (1, "meshctl: 'nonsense' is not a known model; known are a, b\n")
    assert meshctl("pull").exit_code == 2


def test_list(meshctl: Any, tmp_path: Path) -> None:
    shown = meshctl("pull", "--list", "--dir", str(tmp_path))
    assert (shown.exit_code, "smollm2-135m" in shown.stdout) == (0, True)
    answer = json.loads(meshctl("pull", "--list", "--json", "--dir", str(tmp_path)).stdout)
    assert answer["directory"] == str(tmp_path / "models")
    assert not any(row["here"] for row in answer["data"])


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(command.time, "monotonic", lambda: now)
    tell = command.told_by_lines("a")
    tell(1, 100)
    now = 6.0
    tell(50, 100)
    tell(60, 100)
    now = 12.0
    tell(70, None)
    assert capsys.readouterr().err.splitlines() == ["a: 50 B of 100 B, 50 %", "a: 70 B"]
