"""`apps` as the kernel tells them apart: processes of other users, other programs and other control groups.

Each is a child that gives up being root before it connects. What each may use, command, spend, and be given of others'
answers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from pool_rule_cases import MESSAGES, Cases, events, limit

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")

WAIT = 20.0
PYTHON = Path(os.path.realpath(sys.executable))
CENT = {"pricing": {"per_request": 0.01}}
ANN, BOB, EVE, OPERATOR, POOR, RICH = range(61001, 61007)  # users of whom this machine knows nothing

CHILD = """
import itertools, json, os, sys, threading
from modelmesh import MeshError, OpenAIClient, openai_client
import modelmesh.testing._daemon  # all there is, while it can be read
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))

def answer(client, number, method, path, body, headers):
    try:
        if path == "/v1/chat/completions":
            told = client.chat.completions.create(**body, extra_headers=headers)
            found = {"mesh": told.mesh.to_dict()}
        else:
            found = client.mesh.request(method, path, body).to_dict()
    except MeshError as error:
        names = ("status_code", "code", "message", "allowed", "app", "scope", "name", "spent", "limit")
        found = {"error": {name: getattr(error, name, None) for name in names}}
    print(json.dumps([number, found], default=str), flush=True)

print("null", flush=True)
first = sys.stdin.readline()
with OpenAIClient(sys.argv[1], timeout=20, max_retries=0) as client:
    threads = []
    for line in itertools.chain([first], sys.stdin):
        threads.append(threading.Thread(target=answer, args=(client, *json.loads(line))))
        threads[-1].start()
    for thread in threads:
        thread.join()
"""


class App:
    """A process of one user that runs one program. It connects when it is asked for something the first time."""

    def __init__(self, socket: Path, uid: int, program: Path = PYTHON) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONHOME": sys.base_prefix,
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # fmt: skip
        self.process = subprocess.Popen(
            [str(program), "-c", CHILD, str(socket), str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._send, self._lines = self.process.stdin, self.process.stdout
        assert json.loads(self._lines.readline()) is None
        self._numbers = itertools.count()
        self._answers: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def begin(self, path: str, body: Any = None, method: str = "GET", **headers: str) -> Future[Any]:
        number = next(self._numbers)
        answer = self._answers[number] = Future()
        self._send.write(json.dumps([number, method, path, body, headers]) + "\n")
        self._send.flush()
        return answer

    def chat(self, pool: str, **body: Any) -> Future[Any]:
        return self.begin("/v1/chat/completions", {"model": pool, "messages": MESSAGES, **body}, "POST")

    def say(self, pool: str, **body: Any) -> Any:
        return self.chat(pool, **body).result(WAIT)

    def ask(self, path: str) -> Any:
        return self.begin(f"/mesh/v1/{path}").result(WAIT)

    def tell(self, path: str, **body: Any) -> Any:
        return self.begin(f"/mesh/v1/{path}", body, "POST").result(WAIT)

    @property
    def you(self) -> Any:
        return self.ask("describe")["you"]

    def _read(self) -> None:
        for line in self._lines:
            number, found = json.loads(line)
            self._answers[number].set_result(found)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT)
        self._reader.join(WAIT)
        for pipe in (self._send, self._lines):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def app() -> Iterator[Callable[..., App]]:
    """`app(daemon, uid, program)`: a child that waits to be asked."""
    made: list[App] = []

    def start(daemon: Any, uid: int, program: Path = PYTHON) -> App:
        for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
            directory.chmod(0o755)
        made.append(App(daemon.socket, uid, program))
        return made[-1]

    yield start
    for each in made:
        each.close()


def cases_of(server: Any, **apps: Any) -> Cases:
    return Cases(server, apps=apps, daemon={"socket_mode": "0666", "queue_timeout": "15s"})


def user(uid: int, **rules: Any) -> dict[str, Any]:
    return {"match": {"uid": uid}, **rules}


def answered_by(answer: Any) -> str | None:
    """The model; None for a refusal."""
    return answer["mesh"]["model"] if "mesh" in answer else None


def codes(answers: list[Any]) -> list[str]:
    return sorted(answer["error"]["code"] if "error" in answer else "ok" for answer in answers)


# -- who somebody is --------------------------------------------------------------------------------------

HIERARCHIES = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]


@pytest.fixture
def unit() -> Iterator[Callable[[str, App], None]]:
    """`unit(path, app)`: puts the process into a control group, as a service manager does, in the hierarchy that
    systemd has or would have: v1's `name=systemd`, else v2's."""
    root = next((path for path in HIERARCHIES if (path / "cgroup.procs").exists()), None)
    made: list[Path] = []

    def put(path: str, app: App) -> None:
        if root is None:
            pytest.skip("no control groups here")
        for folder in [*reversed(Path(path).parents[:-1]), Path(path)]:
            try:
                (root / folder).mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                pytest.skip(f"no control group may be made here: {error}")
            made.append(root / folder)
        (root / path / "cgroup.procs").write_text(str(app.process.pid))

    yield put
    for path in reversed(made):  # of processes that `app`, which is torn down first, has ended
        path.rmdir()


def test_a_unit_is_what_the_service_manager_made(unit, app, meshd, upstream):
    mine = f"meshtest-{os.getpid()}"
    cases = cases_of(
        upstream(),
        mail={"match": {"unit": f"{mine}-mail@*.service"}, "pools": ["chat"]},
        notes={"match": {"uid": ANN, "unit": "notes.service"}},
        posing={"match": {"unit": "notes.service"}, "admin": True},
        default={"pools": ["spare"]},
    )
    cases.pool("chat", cases.model("m"))
    cases.pool("spare", cases.model("n"))
    cases.play()
    daemon = meshd(cases.config)

    def within(path: str, uid: int) -> App:
        child = app(daemon, uid)
        unit(path, child)
        return child

    mail = within(f"{mine}-mail@one.service", ANN)
    assert (mail.you["account"], mail.you["unit"]) == ("mail", f"{mine}-mail@one.service")
    assert answered_by(mail.say("chat")) == "m"
    assert mail.say("spare")["error"]["allowed"] == ["chat"]
    assert within(f"{mine}-mail.service", ANN).you["account"] == "default"
    # A service that was given the right to make groups may call them what it likes: the outermost one counts.
    inside = within(f"{mine}-other.service/{mine}-mail@two.service", ANN)
    assert (inside.you["account"], inside.you["unit"]) == ("default", f"{mine}-other.service")
    # So may a user his own services: they are believed only where the match names the user too.
    of_ann = within(f"{mine}.slice/user@{ANN}.service/app.slice/notes.service", ANN)
    assert (of_ann.you["account"], of_ann.you["unit"]) == ("notes", "notes.service")
    of_bob = within(f"{mine}.slice/user@{BOB}.service/app.slice/notes.service", BOB)
    assert of_bob.you["account"] == "default"
    assert of_bob.tell("reload", dry_run=True)["error"]["code"] == "access_denied"
    [row] = daemon.ask("GET", "/mesh/v1/apps?name=mail")["data"]
    assert (row["requests"], row["match"]) == (2, {"unit": f"{mine}-mail@*.service"})


# -- what each may use and command ------------------------------------------------------------------------


def test_an_administrator_by_the_configuration_and_nobody_else_gives_commands(app, meshd, upstream):
    cases = cases_of(upstream(), operator=user(OPERATOR, admin=True), eve=user(EVE, pools=["chat"]))
    cases.pool("chat", cases.model("a"), cases.model("b"))
    cases.play()
    daemon = meshd(cases.config)
    operator, eve = app(daemon, OPERATOR), app(daemon, EVE)
    for path, body in {
        "reload": {"dry_run": True}, "rotate": {"pool": "chat"}, "models/deactivate": {"id": "a"},
        "models/activate": {"id": "a"}, "probe": {}, "discover": {}, "drain": {"timeout": 0},
    }.items():  # fmt: skip
        error = eve.tell(path, **body)["error"]
        assert (error["status_code"], error["code"]) == (403, "access_denied"), path
        assert "apps with admin: true" in error["allowed"], "who may, is said"
    assert eve.ask("config")["error"]["code"] == "access_denied"
    assert answered_by(eve.say("chat")) == "a", "and nothing was done"

    assert operator.tell("rotate", pool="chat")["to"] == "b"
    assert answered_by(eve.say("chat")) == "b"
    assert operator.tell("models/deactivate", id="b", reason="tired")["status"] == "standby"
    assert answered_by(eve.say("chat")) == "a"
    assert operator.tell("models/activate", id="b")["status"] == "active"
    assert operator.ask("config")["config"]["apps"]["operator"]["admin"] is True
    assert {row["name"] for row in operator.ask("apps")["data"]} >= {"operator", "eve", "default"}
    assert {row["name"] for row in eve.ask("apps")["data"]} == {"eve"}
    assert operator.tell("explain", model="chat", messages=MESSAGES, app="eve")["app"]["account"] == "eve"
    assert eve.tell("explain", model="chat", messages=MESSAGES, app="operator")["error"]["code"] == "access_denied"

    del cases.config["apps"]["operator"]["admin"]
    daemon.write(cases.config)
    assert operator.tell("reload")["ok"]
    assert operator.tell("reload")["error"]["code"] == "access_denied", "from the moment it is no administrator"


def test_who_is_allowed_a_part_sees_that_part(app, meshd, upstream):
    cases = cases_of(
        upstream(),
        pools=user(ANN, pools=["chat"]),
        models=user(BOB, models=["two", "three"]),
        both=user(EVE, pools=["chat"], models=["two"]),
    )
    cases.pool("chat", cases.model("one"), cases.model("two"), fallback_pools=["secret"])
    cases.pool("secret", cases.model("three"))
    cases.pool("lonely", cases.model("four"))
    cases.play()
    daemon = meshd(cases.config)

    def seen(child: App) -> dict[str, list[str]]:
        described = child.ask("describe")
        return {
            "named": [row["id"] for row in child.begin("/v1/models").result(WAIT)["data"]],
            "pools": [row["name"] for row in child.ask("pools")["data"]],
            "models": [row["id"] for row in child.ask("models")["data"]],
            "providers": [row["name"] for row in child.ask("providers")["data"]],
            "described": described["pools"] + described["models"],
            "status": [row["name"] for row in child.ask("status")["pools"]],
        }

    def parts(pools: list[str], models: list[str]) -> dict[str, list[str]]:
        return {
            "named": pools + models, "pools": pools, "models": models, "described": pools + models, "status": pools,
            "providers": [f"p-{id}" for id in models],
        }  # fmt: skip

    ann, bob, eve = (app(daemon, uid) for uid in (ANN, BOB, EVE))
    all_of_it = {"pools": ["chat", "secret", "lonely"], "models": ["one", "two", "three", "four"]}
    found = seen(app(daemon, POOR))  # whom no entry fits
    assert [name for name in found["pools"] if name in all_of_it["pools"]] == all_of_it["pools"]
    assert found["models"] == all_of_it["models"]
    assert seen(ann) == parts(["chat"], ["one", "two"])
    mine = seen(bob)
    assert [name for name in mine["pools"] if name in all_of_it["pools"]] == ["chat", "secret"]
    assert (mine["models"], mine["providers"]) == (["two", "three"], ["p-two", "p-three"])
    assert seen(eve) == parts(["chat"], ["two"])

    # In a pool that it may use, only its models are asked; and of the pools to fall back on, only its own.
    assert [answered_by(child.say("chat")) for child in (ann, bob, eve)] == ["one", "two", "two"]
    for child, asked, allowed in [
        (ann, "secret", ["chat"]),
        (ann, "three", ["one", "two"]),
        (bob, "lonely", ["chat", "secret"]),
        (bob, "one", ["two", "three"]),
        (eve, "secret", ["chat"]),
        (eve, "one", ["two"]),
    ]:
        error = child.say(asked)["error"]
        assert (error["status_code"], error["code"]) == (403, "access_denied")
        assert [name for name in error["allowed"] if any(name in part for part in all_of_it.values())] == allowed
        assert all(name in error["message"] for name in (asked, *allowed)), error["message"]
        assert child.begin(f"/v1/models/{asked}").result(WAIT)["error"]["code"] == "access_denied"
        assert child.tell("explain", model=asked, messages=MESSAGES)["error"]["code"] == "access_denied"
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "two"})
    assert answered_by(bob.say("chat")) == "three"
    error = eve.say("chat")["error"]
    assert error["code"] == "no_active_model"
    assert "three" not in error["message"], "it hears nothing of what it may not use"


# -- what each may spend ----------------------------------------------------------------------------------


def test_so_many_requests_of_an_app_at_once_in_all_its_processes_together(app, meshd, upstream, eventually):
    server = upstream()
    cases = cases_of(
        server, nested=user(ANN, rate_limit={"concurrency": 2}), plain=user(BOB, concurrency=1), free=user(EVE)
    )
    cases.pool("chat", cases.model("m", {"reply": "done", "delay": "1s"}))
    cases.play()
    daemon = meshd(cases.config)

    def waiting(name: str) -> int:
        [row] = daemon.ask("GET", f"/mesh/v1/apps?name={name}")["data"]
        assert row["in_flight"] >= row["waiting"]
        return int(row["waiting"])

    pair = [app(daemon, ANN), app(daemon, ANN)]
    for each in pair:
        assert each.you["account"] == "nested"
    answers = [child.chat("chat") for child in pair * 2]
    eventually(lambda: waiting("nested") == 2)
    assert server.served["open"] == 2
    bob = app(daemon, BOB)
    answers += [bob.chat("chat"), bob.chat("chat")]
    eventually(lambda: waiting("plain") == 1)
    answers += [app(daemon, EVE).chat("chat") for _ in range(3)]
    assert codes([answer.result(WAIT) for answer in answers]) == ["ok"] * 9
    assert server.served["served"] == 9
    rates = {row["name"]: row["rate_limit"] for row in daemon.ask("GET", "/mesh/v1/apps")["data"]}
    assert [rates[name]["concurrency"] for name in ("nested", "plain", "free")] == [2, 1, None]


def test_a_budget_is_one_account_of_all_processes_and_no_other_apps(app, meshd, upstream):
    server = upstream()
    cases = cases_of(
        server,
        poor=user(POOR, budget={"daily_limit": 0.05, "alert_threshold": 0.6}),
        rich=user(RICH, budget={"monthly_limit": 1}),
    )
    cases.pool("chat", cases.model("paid", {"reply": "x", "delay": "50ms"}, **CENT))
    cases.play()
    daemon = meshd(cases.config)
    poor, rich = [app(daemon, POOR) for _ in range(3)], app(daemon, RICH)
    answers = [child.chat("chat") for child in poor * 3]
    found = [answer.result(WAIT) for answer in answers]
    assert codes(found) == ["budget_exceeded"] * 4 + ["ok"] * 5
    refused = [answer["error"] for answer in found if "error" in answer]
    assert {(each["status_code"], each["scope"], each["name"]) for each in refused} == {(402, "app", "poor")}
    assert codes([rich.say("chat") for _ in range(7)]) == ["ok"] * 7
    assert server.served["served"] == 12
    rows = daemon.ask("GET", "/mesh/v1/budget")["data"]
    assert (limit(rows, name="poor")["spent"], limit(rows, name="rich")["spent"]) == (0.05, 0.07)
    assert [row["name"] for row in poor[0].ask("budget")["data"]] == ["poor"], "another's money is not its to see"
    [alert], [exceeded] = events(daemon, "budget_alert", app="poor"), events(daemon, "budget_exceeded", app="poor")
    assert alert["changed"]["spent"] == 0.03
    assert exceeded["changed"]["spent"] + exceeded["changed"]["reserved"] == pytest.approx(0.05)
    assert not events(daemon, "budget_alert", app="rich")
    # What was spent is the app's, whatever is reloaded, and whichever of its processes asks.
    cases.config["apps"]["poor"]["budget"]["daily_limit"] = 0.06
    daemon.write(cases.config)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert codes([app(daemon, POOR).say("chat") for _ in range(2)]) == ["budget_exceeded", "ok"]


# -- what each is given of others' answers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "shared_by"),
    [("app", {"first"}), ("user", {"first", "other app"}), ("shared", {"first", "other app", "other user"})],
)
def test_who_is_given_whose_answers(app, meshd, upstream, short, scope, shared_by):
    server = upstream()
    programs = {name: short / name for name in ("mail", "notes")}
    for path in programs.values():
        shutil.copy(PYTHON, path)
    cases = cases_of(
        server,
        narrow=user(EVE, pools=["chat"]),
        **{name: {"match": {"exe": str(path)}} for name, path in programs.items()},
    )
    cases.pool("chat", cases.model("m", **CENT), cache={"scope": scope})
    cases.play()
    daemon = meshd(cases.config)

    def given(child: App) -> bool:
        """Whether it was an answer that somebody else, or an earlier request, had paid for."""
        before = server.served["served"]
        explained = child.tell("explain", model="chat", messages=MESSAGES, temperature=0)["cache"]
        assert (explained["applies"], explained["scope"]) == (True, scope)
        mesh = child.say("chat", temperature=0)["mesh"]
        kept = bool(mesh.get("cached"))
        assert (explained["age"] is not None) is kept, "explain said so"
        assert server.served["served"] == before + (not kept)
        assert mesh["cost"] == (0 if kept else 0.01)
        return kept

    first = app(daemon, ANN, programs["mail"])
    assert first.you["account"] == "mail"
    assert [given(first), given(first)] == [False, True]
    others = {
        "first": app(daemon, ANN, programs["mail"]),  # another process of the same app
        "other app": app(daemon, ANN, programs["notes"]),
        "other user": app(daemon, BOB, programs["mail"]),
        "not so free": app(daemon, EVE, programs["mail"]),  # may use less: what it is given may not be for it
    }
    assert others["other app"].you["account"] == "notes"
    assert others["other user"].you["account"] == "mail"
    assert {name for name, child in others.items() if given(child)} == shared_by
    assert all(given(child) for child in others.values()), "each has its own by now"
