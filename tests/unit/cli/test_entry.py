"""The command line as a whole: what exists, where --socket may stand, how anything ends."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from meshd.cli import daemon, entry, names

BUILT = {
    "apps", "batch", "catalogue", "connect",
    "budget", "chat", "clients", "config", "connectors", "dashboard", "discover", "doctor", "drain", "embed", "events",
    "explain", "image", "import", "model", "models", "parse", "pools", "probe", "providers", "pull", "reload",
    "report", "requests", "curve",
    "rotate", "search", "secrets", "service", "speak", "state", "stats", "status", "token", "top", "transcribe",
    "translate",
}  # fmt: skip


def test_only_what_is_built_exists(meshctl: Any) -> None:
    assert set(entry.COMMANDS) == BUILT
    for planned in ("profile", "bench", "logs"):
        assert meshctl(planned).exit_code == 2


def test_every_command_explains_itself(meshctl: Any) -> None:
    overview = meshctl("--help").stdout
    for name in sorted(BUILT):
        assert name in overview
        shown = meshctl(name, "--help")
        assert (shown.exit_code, "Usage: meshctl" in shown.stdout) == (0, True)
        assert max(map(len, shown.stdout.splitlines())) <= 80
        leaves = {
            "model": ["activate", "deactivate"],
            "config": ["show", "validate", "schema", "convert", "init"],
            "token": ["create"],
            "curve": ["create", "daemon"],
            "secrets": ["list", "get", "set", "delete", "import", "rotate"],
            "service": ["install", "uninstall", "status"],
            "batch": ["submit", "status", "cancel"],
            "state": ["import"],
            "catalogue": ["list", "show", "update", "reset"],
        }
        for leaf in leaves.get(name, []):
            assert "--json" in meshctl(name, leaf, "--help").stdout
        if name not in leaves:
            assert "--json" in shown.stdout


@pytest.mark.parametrize("width", [80, 40])
def test_help_is_filled_and_speaks_of_no_types(meshctl: Any, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for words in ([], *([name] for name in sorted(BUILT)), ["config", "init"], ["model", "deactivate"]):
        shown = meshctl(*words, "--help").stdout
        lines = shown.splitlines()
        assert max(map(len, lines)) <= width, shown
        assert not re.search("[<>│─]", re.sub(r"(?m)^ {2,6}\S.*[<>] \S+\.\w+.*$", "", shown)), shown  # but in examples
        for line, following in pairwise(lines):
            if line[:1].isalpha() and following[:1].isalpha():  # of one paragraph
                word = re.match(r"(?:meshctl )?\S+", following)
                assert word is not None
                assert len(line) + 1 + len(word.group()) > width, f"{line!r} has room for {word.group()!r}"


def test_help_names_values_as_usage_and_errors_do(meshctl: Any) -> None:
    assert "Usage: meshctl rotate [OPTIONS] POOL\n" in meshctl("rotate", "--help").stdout
    assert "Usage: meshctl config init [OPTIONS] [PATH]\n" in meshctl("config", "init", "--help").stdout
    assert "'POOL'" in meshctl("rotate").stderr
    assert "--stream / --no-stream  Print" in meshctl("chat", "--help").stdout
    assert "in flight may still take. Default: 30." in meshctl("drain", "--help").stdout
    assert "\n  meshctl models openai.gpt-5.4\n" in meshctl("models", "--help").stdout


def test_a_slip_of_the_hand(meshctl: Any) -> None:
    done = meshctl("statsu")
    assert (done.exit_code, "'status'" in done.stderr, done.stdout) == (2, True, "")
    assert meshctl().exit_code in (0, 2)
    assert meshctl("status", "--colour").exit_code == 2


def test_version(meshctl: Any) -> None:
    assert meshctl("--version").stdout.startswith("meshctl 0.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["status"], None),
        (["--socket", "/x", "status"], "/x"),
        (["status", "--socket", "/x"], "/x"),
        (["status", "--socket=/x", "--json"], "/x"),
    ],
)
def test_socket_may_stand_anywhere(fake: Any, meshctl: Any, words: list[str], expected: str | None) -> None:
    fake.answers["GET status"] = {}
    assert meshctl(*words).exit_code == 0
    assert daemon.settings.socket == expected


def test_socket_after_two_dashes_is_the_prompt(fake: Any, meshctl: Any) -> None:
    fake.answers["POST explain"] = {"error": {"code": "model_not_found"}}
    assert meshctl("chat", "--", "--socket").exit_code == 0
    assert fake.asked[-1][1]["messages"][0]["content"] == "--socket"


def test_a_defect_shows_no_traceback(fake: Any, meshctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("not this")

    fake.answers["POST rotate"] = broken
    done = meshctl("rotate", "x")
    assert done.exit_code == 70
    assert done.stderr == "meshctl: RuntimeError: not this\n  this is a bug; MESHCTL_DEBUG=1 shows where\n"
    monkeypatch.setenv("MESHCTL_DEBUG", "1")
    with pytest.raises(RuntimeError):
        meshctl("rotate", "x")


def test_names_for_the_shell(fake: Any) -> None:
    fake.answers["GET pools"] = {"data": [{"name": "chat-completion"}, {"name": "fast"}]}
    fake.answers["GET models"] = {"data": [{"id": "a.one"}, {"id": "chat.x"}]}
    assert names.pools_and_models(None, "cha") == ["chat-completion", "chat.x"]
    assert names.pools(None, "") == ["chat-completion", "fast"]
    del fake.answers["GET pools"]
    assert names.pools(None, "") == []
