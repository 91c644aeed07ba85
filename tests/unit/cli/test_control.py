"""Orders to the daemon: what is sent, what is said, and the exit code."""

from __future__ import annotations

import json
from typing import Any

from modelmesh import AccessDeniedError, NotFoundError

PROBLEM = {"path": "pools.a.retri", "file": "mesh.yaml", "line": 3, "message": "unknown key", "suggestion": "retry"}


def test_reload(fake: Any, meshctl: Any) -> None:
    report = {"ok": True, "changes": ["pool a added"], "problems": [], "generation": 4, "duration": 0.02}
    fake.answers["POST reload"] = report
    done = meshctl("reload")
    assert (done.exit_code, fake.asked[-1][1]) == (0, {"dry_run": False})
    assert done.stdout.splitlines() == ["pool a added", "1 changed, generation 4 in 20 ms"]
    assert "1 would change" in meshctl("reload", "--dry-run").stdout
    assert fake.asked[-1][1] == {"dry_run": True}
    assert json.loads(meshctl("reload", "--json").stdout) == report


def test_reload_refused(fake: Any, meshctl: Any) -> None:
    fake.answers["POST reload"] = report = {"ok": False, "changes": [], "problems": [PROBLEM], "generation": 3}
    done = meshctl("reload")
    assert (done.exit_code, done.stdout) == (1, "")
    assert 'mesh.yaml:3: pools.a.retri: unknown key; did you mean "retry"?' in done.stderr
    again = meshctl("reload", "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (1, report)


def test_rotate(fake: Any, meshctl: Any) -> None:
    fake.answers["POST rotate"] = {"pool": "c", "from": "a", "to": "b"}
    assert meshctl("rotate", "c").stdout == "c: a → b\n"
    assert fake.asked[-1][1] == {"pool": "c"}
    assert json.loads(meshctl("rotate", "c", "--json").stdout)["to"] == "b"
    assert meshctl("rotate").exit_code == 2


def test_the_daemon_refuses(fake: Any, meshctl: Any) -> None:
    fake.answers["POST rotate"] = NotFoundError("no pool is called d; the nearest is c")
    done = meshctl("rotate", "d")
    assert (done.exit_code, done.stderr) == (1, "meshctl: no pool is called d; the nearest is c\n")
    fake.answers["POST rotate"] = AccessDeniedError("user 1000 is no administrator", app="1000")
    done = meshctl("rotate", "d", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert json.loads(done.stderr)["error"] == {
        "message": "user 1000 is no administrator",
        "code": "access_denied",
        "status": 403,
        "app": "1000",
    }


def test_model(fake: Any, meshctl: Any) -> None:
    fake.answers["POST models/deactivate"] = {"id": "a.one", "status": "standby", "reason": "dear"}
    fake.answers["POST models/activate"] = {"id": "a.one", "status": "active", "reason": ""}
    assert meshctl("model", "deactivate", "a.one", "--reason", "dear").stdout == "a.one is standby (dear)\n"
    assert fake.asked[-1][1] == {"id": "a.one", "reason": "dear"}
    assert meshctl("model", "activate", "a.one").stdout == "a.one is active\n"
    assert json.loads(meshctl("model", "activate", "a.one", "--json").stdout)["status"] == "active"


def test_probe(fake: Any, meshctl: Any) -> None:
    rows = [{"provider": "a", "ok": True, "latency": 0.1, "error": "", "score": 1.0}]
    fake.answers["POST probe"] = {"data": rows}
    done = meshctl("probe")
    assert (done.exit_code, "100 ms" in done.stdout, fake.asked[-1][1]) == (0, True, {"provider": None})
    rows.append({"provider": "b", "ok": False, "latency": 0.0, "error": "refused", "score": 0.0})
    assert meshctl("probe", "b").exit_code == 1
    assert meshctl("probe", "b", "--json").exit_code == 1


def test_a_probe_tells_a_refused_key_from_a_server_that_is_away(fake: Any, meshctl: Any) -> None:
    no = {"ok": False, "latency": 0.0, "score": 0.0}
    rows = [
        no | {"provider": "a", "kind": "authentication", "error": "401 no"},
        no
        | {
            "provider": "b",
            "kind": "unsupported",
            "elsewhere": True,
            "error": "http://x/models does not exist (404): is base_url right?",
        },
        no | {"provider": "c", "kind": "connection", "error": "connection refused"},
        no | {"provider": "d", "kind": "bad_answer", "error": "http://x/models answered with nothing"},
    ]
    fake.answers["POST probe"] = {"data": rows}
    lines = meshctl("probe").stdout.splitlines()
    states = {line.split()[0]: line for line in lines if line[:1] in "abcd"}
    assert "key refused" in states["a"]
    assert "wrong base_url" in states["b"]
    assert "away" in states["c"]
    assert "unreadable" in states["d"]


def test_discover(fake: Any, meshctl: Any) -> None:
    rows = [{"provider": "ollama", "models": ["x", "y"], "new": ["y"], "gone": [], "error": ""}]
    fake.answers["POST discover"] = {"data": rows}
    assert meshctl("discover").stdout.splitlines()[1].split() == ["ollama", "2", "y", "0"]
    assert json.loads(meshctl("discover", "--json").stdout) == {"data": rows}


def test_drain(fake: Any, meshctl: Any) -> None:
    fake.answers["POST drain"] = {"drained": True, "left": 0}
    assert meshctl("drain", "--timeout", "5").exit_code == 0
    assert fake.asked[-1][1] == {"timeout": 5.0}
    fake.answers["POST drain"] = {"drained": False, "left": 2}
    done = meshctl("drain")
    assert (done.exit_code, "2 requests still in flight" in done.stderr) == (1, True)
    assert json.loads(meshctl("drain", "--json").stdout)["left"] == 2
