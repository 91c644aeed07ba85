"""`meshctl doctor`: each check on its own, and what the command makes of them."""

from __future__ import annotations

import json
import shutil
import socket
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from meshd.cli import daemon
from meshd.cli.setup.diagnosis import checks, doctor, posture_checks
from meshd.connectors.providers.embedded.confinement import remark
from modelmesh import AccessDeniedError, DaemonUnavailableError

STATUS = {
    "version": "0.1.0",
    "uptime": 5.0,
    "actors": [],
    "state": {"ok": True, "directory": "/"},
    "pools": [{"name": "chat-completion", "active": 1, "standby": 0}],
    "config": {"source": "built-in"},
}


OTHERS = {"GET pools": {"data": [{"name": "chat-completion", "active": 1}]}, "GET config": {"config": {}}}


def levels(findings: Any) -> list[str]:
    return [finding.level for finding in findings]


def weights(folder: Path) -> SimpleNamespace:
    """Weights that no other user may write."""
    file = folder / "smollm2-135m.gguf"
    file.touch()
    file.chmod(0o600)
    return SimpleNamespace(name="smollm2-135m", path=file)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's own plays a part."""
    monkeypatch.setattr(doctor, "weights_here", lambda: [weights(tmp_path)])
    monkeypatch.setattr(daemon, "paths", lambda: [str(tmp_path / "mesh.sock")])
    monkeypatch.setattr(checks, "has_systemd", lambda: False)
    monkeypatch.setattr(posture_checks, "default_sockets", tuple)
    monkeypatch.setattr(posture_checks, "output_of", lambda *_: "held network files calls")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(5e9))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(str(tmp_path / "mesh.sock"))


@pytest.mark.usefixtures("quiet")
def test_all_is_well(fake: Any, meshctl: Any) -> None:
    fake.answers |= {"GET status": STATUS, "GET providers": {"data": []}} | OTHERS
    fake.answers["POST probe"] = {"data": [{"provider": "a", "ok": True, "latency": 0.1}]}
    done = meshctl("doctor")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "no problems found")
    assert "✓ provider a: answers in 100 ms" in done.stdout
    assert json.loads(meshctl("doctor", "--json").stdout)["ok"] is True


@pytest.mark.usefixtures("quiet")
def test_what_an_ordinary_user_may_not_ask_is_not_a_problem(fake: Any, meshctl: Any) -> None:
    fake.answers |= {"GET status": STATUS, "GET providers": {"data": []}} | OTHERS
    fake.answers |= {name: AccessDeniedError("You may not.") for name in ("POST probe", "GET config")}
    done = meshctl("doctor")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "2 warnings")
    assert "! providers: not checked: only the daemon's own user or an administrator may" in done.stdout


@pytest.mark.usefixtures("quiet")
def test_masked_keys_are_not_a_problem_of_the_apps(fake: Any, meshctl: Any) -> None:
    provider = {"connector": "openai-compatible.v1", "base_url": "http://x/v1", "api_key": "•••"}
    config = {"providers": {"a": provider}, "apps": {"mail": {"match": {"exe": "/bin/sh"}}}}
    fake.answers |= {"GET status": STATUS, "GET providers": {"data": []}} | OTHERS | {"GET config": {"config": config}}
    fake.answers["POST probe"] = {"data": [{"provider": "a", "ok": True, "latency": 0.1}]}
    shown = meshctl("doctor").stdout
    assert "could not be checked" not in shown
    assert "apps.mail.match.exe: /bin/sh is an interpreter" in " ".join(shown.split())


@pytest.mark.usefixtures("quiet")
def test_a_problem_exits_1_with_advice(fake: Any, meshctl: Any) -> None:
    fake.answers |= {"GET status": STATUS | {"version": "9.9.9", "draining": True}} | OTHERS
    fake.answers["GET providers"] = {
        "data": [
            {"name": "a", "key": "refused", "reason": "its key is refused"},
            {"name": "b", "key": "refused", "reason": "its key is refused: no such key", "said": "no such key"},
            {"name": "c", "key": "wanted", "reason": "it needs a key and has none: no key", "said": "no key"},
        ]
    }
    fake.answers["GET pools"] = {"data": [{"name": "p", "active": 0, "standby": 1, "models": [{"provider": "a"}]}]}
    probed = {"provider": "a", "ok": False, "error": "401 invalid api key", "kind": "authentication"}
    fake.answers["POST probe"] = {"data": [probed]}
    done = meshctl("doctor")
    assert done.exit_code == 1
    assert "✗ provider b: key refused: no such key\n" in done.stdout
    assert "✗ provider c: needs a key and has none: no key\n" in done.stdout
    assert "✗ provider a: key refused: 401 invalid api key\n    → give the daemon another" in done.stdout
    assert "pool p" not in done.stdout, "the key has its line already"
    assert "! daemon: meshd 9.9.9" in done.stdout
    assert done.stdout.splitlines()[-1] == "4 problems, 1 warning"


@pytest.mark.usefixtures("quiet")
def test_a_provider_that_cannot_be_probed_is_no_problem(fake: Any, meshctl: Any) -> None:
    fake.answers |= {"GET status": STATUS} | OTHERS
    said = {"ok": False, "error": "a.v1 cannot be probed free of charge", "kind": "unsupported", "elsewhere": False}
    fake.answers["POST probe"] = {"data": [{"provider": "a", **said}, {"provider": "b", **said}]}
    fake.answers["GET providers"] = {"data": [{"name": "a", "answering": ""}, {"name": "b", "answering": "serves"}]}
    done = meshctl("doctor")
    assert "! provider a: a.v1 cannot be probed free of charge\n    → the first request shows" in done.stdout
    assert "✓ provider b: has answered requests\n" in done.stdout
    assert done.exit_code == 0


@pytest.mark.usefixtures("quiet")
def test_no_daemon_exits_69_after_checking_the_rest(fake: Any, meshctl: Any) -> None:
    fake.answers["GET status"] = DaemonUnavailableError("nobody", paths=["/x"])
    done = meshctl("doctor", "--json")
    assert done.exit_code == 69
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert {"python", "keys", "disk"} <= {check["subject"] for check in found["checks"]}


@pytest.mark.usefixtures("quiet")
def test_a_check_that_breaks_is_a_finding(fake: Any, meshctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answers["GET status"] = DaemonUnavailableError("nobody", paths=["/x"])

    def broken() -> Any:
        raise RuntimeError("odd")

    monkeypatch.setattr(checks, "clock", broken)
    assert "✗ clock: could not be checked: odd" in meshctl("doctor").stdout


def test_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "has_systemd", lambda: False)
    assert levels(checks.clock()) == ["ok"]
    monkeypatch.setattr(checks.time, "time", lambda: 0.0)
    assert levels(checks.clock()) == ["problem"]


def test_sockets(tmp_path: Path) -> None:
    path = tmp_path / "mesh.sock"
    assert levels(checks.sockets([str(path)])) == [], "that there is none is said by who finds no daemon"
    path.write_text("")
    assert "not a socket" in next(checks.sockets([str(path)])).message
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(str(path))
    assert levels(checks.sockets([str(tmp_path / "other"), str(path)])) == ["ok"]


def test_a_socket_one_may_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mesh.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(str(path))
    monkeypatch.setattr(checks.os, "access", lambda path, mode: False)
    finding = next(checks.sockets([str(path)]))
    # A member of root's group may do far more than talk to a daemon.
    assert (finding.level, "usermod" in finding.advice) == ("problem", path.stat().st_gid != 0)
    assert "usermod -aG root" not in finding.advice


def test_daemon_health() -> None:
    assert levels(checks.daemon_health(STATUS)) == ["ok"]
    bad = STATUS | {
        "actors": [{"name": "state", "alive": False, "last_error": "disk full"}],
        "last_reload": {"ok": False, "problems": [{"message": "unknown key", "path": "a"}]},
    }
    assert levels(checks.daemon_health(bad)) == ["problem", "problem"]


def test_pools() -> None:
    of = [{"provider": "a"}, {"provider": "b"}]
    pools = [{"name": "p", "active": 0, "standby": 2, "models": of}, {"name": "q", "active": 0, "standby": 0}]
    assert levels(checks.pools(pools, [])) == ["problem", "warning"]
    assert levels(checks.pools(pools, ["a"])) == ["problem", "warning"]
    assert levels(checks.pools(pools, ["a", "b"])) == ["warning"]
    assert levels(checks.pools([], [])) == ["problem"]


@pytest.mark.parametrize(
    ("row", "shown", "level", "said"),
    [
        ({"ok": True, "latency": 0.1}, {"key": "not tried"}, "ok", "answers in 100 ms; key not tried"),
        ({"ok": True, "latency": 0.1}, {"key": "none needed"}, "ok", "key none needed"),
        ({"ok": True, "latency": 0.1}, {"key": "refused", "said": "bad"}, "problem", "key refused: bad"),
        ({"ok": False, "error": "x", "kind": "authentication"}, {}, "problem", "key refused: x"),
        ({}, {"key": "missing", "reason": "secret K is missing"}, "warning", "left out: secret K is missing"),
        # Words say nothing where a kind is there.
        ({"ok": False, "error": "auth backend 401 refused", "kind": "server_error"}, {}, "problem", "auth backend"),
        ({"ok": False, "error": "Connection refused", "kind": "connection"}, {}, "problem", "Connection refused"),
    ],
)
def test_a_provider_has_one_line(row: Any, shown: Any, level: str, said: str) -> None:
    (found,) = checks.providers([{"provider": "a", **row}] if row else [], {"a": {"name": "a", **shown}})
    assert found.level == level
    assert said in found.message
    if row.get("kind") == "server_error":
        assert "key" not in found.message + found.advice


def test_keys_are_named_never_shown() -> None:
    findings = list(checks.keys({"OPENAI_API_KEY": " sk-hidden\n"}))
    assert levels(findings) == ["problem", "ok"]
    assert "sk-hidden" not in repr(findings)
    assert levels(checks.keys({})) == ["ok"]


def test_a_name_that_does_not_resolve_is_the_providers_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(checks.socket, "getaddrinfo", resolve)
    row = {"provider": "a", "ok": False, "error": "cannot connect", "kind": "connection"}
    (found,) = checks.providers([row], {"a": {"name": "a", "base_url": "https://gone.example/v1"}})
    assert (found.level, found.message) == ("problem", "gone.example: Name or service not known")


def test_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("Usage", "free")
    assert levels(checks.state_directory(tmp_path / "a/b", None)) in (["ok"], ["warning"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5e8))
    assert levels(checks.state_directory(tmp_path, {"ok": False, "error": "read only"})) == ["problem", "warning"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5e7))
    assert levels(checks.state_directory(tmp_path, {"ok": True})) == ["problem"]


def test_weights(tmp_path: Path) -> None:
    here = weights(tmp_path)
    assert levels(checks.weights([here])) == ["ok"]
    here.path.chmod(0o666)
    assert "can be written by" in next(checks.weights([here])).message
    assert "meshctl pull" in next(checks.weights([])).advice


def test_units(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"LoadState": "loaded", "ActiveState": "failed"}
    monkeypatch.setattr(checks, "has_systemd", lambda: True)
    monkeypatch.setattr(checks, "output_of", lambda *words: answers[next(w for w in words if "=" in w).split("=")[1]])
    assert levels(checks.units()) == ["problem", "problem"]
    answers["LoadState"] = "not-found"
    assert levels(checks.units()) == []


def test_a_wrong_base_url_is_reported_as_such() -> None:
    from meshd.cli.setup.diagnosis import checks

    shown = {"name": "p", "answering": "nothing", "key": "none needed", "base_url": "http://127.0.0.1:1/v2"}
    (found,) = checks.providers([{"provider": "p", "error": "", "latency": 0.1, "ok": True}], {"p": shown})
    assert (found.level, "base_url" in found.advice) == (checks.PROBLEM, True)
    assert "http://127.0.0.1:1/v2" in found.message


@pytest.mark.parametrize(
    ("held", "notes", "level", "said"),
    [
        ("held network files calls", [], ["ok"], "confined"),
        ("held calls network", [], ["warning"], "embedded models run without Landlock (in force: "),
        ("held", [], ["warning"], "(in force: nothing)"),
        ("held", ["embedded models run without Landlock (in force: nothing)"], ["warning"], "isolation"),
        ("", [], ["warning"], "could not be tried"),
        ("held calls network", None, [], ""),
    ],
)
def test_what_confines_embedded_models(
    monkeypatch: pytest.MonkeyPatch, held: str, notes: list[str] | None, level: list[str], said: str
) -> None:
    monkeypatch.setattr(posture_checks, "find_spec", lambda _: True)
    monkeypatch.setattr(posture_checks, "output_of", lambda *_: held)
    if notes is None:  # the daemon has told the same
        notes = [remark(held.split()[1:])]
    found = list(posture_checks.embedded_models({"notes": notes}))
    assert levels(found) == level
    assert all(said in each.message for each in found)
    assert [bool(each.advice) for each in found] == ["without" in each.message for each in found]


def test_default_sockets_that_clients_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    directory = tmp_path / "meshd"
    directory.mkdir()
    directory.chmod(0o777)
    said = f"clients leave out {directory}/mesh.sock: {directory} is writable by other users"
    assert said in [found.message for found in posture_checks.default_sockets()]
    directory.chmod(0o700)
    assert said not in [found.message for found in posture_checks.default_sockets()]
