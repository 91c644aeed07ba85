"""`apps` as the kernel tells them apart: processes of other users, other programs and other control groups.

Each is a child that gives up being root before it connects. What each may use, command, spend, and be given of others'
answers.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps.other_users.other_user import PYTHON, WAIT, App
from tests.support.daemons.pool_rule_cases import MESSAGES, Cases, events, limit

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")

CENT = {"pricing": {"per_request": 0.01}}
ANN, BOB, EVE, OPERATOR, POOR, RICH = range(61001, 61007)  # users that this machine does not know


@pytest.fixture
def app() -> Iterator[Callable[..., App]]:
    """`app(daemon, uid, program, groups)`: a child that waits to be asked. Its group has its user's number."""
    made: list[App] = []

    def start(daemon: Any, uid: int, *who: Any) -> App:
        for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
            directory.chmod(0o755)
        made.append(App(daemon.socket, uid, *who))
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


def test_users_and_groups_by_name_and_number(app, meshd, upstream):
    nobody, nogroup = pwd.getpwnam("nobody"), grp.getgrgid(pwd.getpwnam("nobody").pw_gid)
    cases = cases_of(
        upstream(),
        both={"match": {"uid": ANN, "gid": RICH}},
        number={"match": {"gid": POOR}},
        name={"match": {"group": nogroup.gr_name}},
        user={"match": {"user": "nobody"}},
    )
    cases.pool("chat", cases.model("m"))
    cases.play()
    daemon = meshd(cases.config)

    def account(uid: int, *groups: int) -> str:
        return str(app(daemon, uid, PYTHON, groups).you["account"])

    assert account(ANN) == "default"
    assert account(ANN, RICH) == "both", "all of a match has to hold"
    assert account(BOB, RICH) == "default"
    assert account(BOB, POOR) == account(POOR) == "number", "a further group is as good as the first"
    assert account(BOB, nogroup.gr_gid) == "name"
    assert account(BOB, nogroup.gr_gid, POOR) == "number", "the first entry that fits"
    assert account(nobody.pw_uid) == ("name" if nobody.pw_uid == nogroup.gr_gid else "user")


# -- what each may use and command ------------------------------------------------------------------------


def test_only_a_configured_administrator_gives_commands(app, meshd, upstream):
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
    assert operator.tell("reload")["error"]["code"] == "access_denied", "from the moment it is not an administrator"


def test_an_app_sees_only_what_it_may_use(app, meshd, upstream):
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
    found = seen(app(daemon, POOR))  # matches no entry
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
    eventually(lambda: server.served["open"] == 2)
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
def test_which_callers_share_answers(app, meshd, upstream, short, scope, shared_by):
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


def test_one_users_kept_answers_are_not_pushed_out_by_anothers(app, meshd, upstream):
    cases = cases_of(upstream())
    cases.model("m", {"reply": "x" * 2000}, **CENT)
    cases.pool("chat", "m", cache={"max_size": 40_000})
    cases.play()
    daemon = meshd(cases.config)
    ann, bob = app(daemon, ANN), app(daemon, BOB)
    mine = [{"temperature": 0, "seed": number} for number in range(4)]
    for body in mine:
        assert not ann.say("chat", **body)["mesh"].get("cached")
    for number in range(60):  # many times what there is room for
        bob.say("chat", temperature=0, seed=1000 + number)
    assert all(ann.say("chat", **body)["mesh"]["cached"] for body in mine)
    assert bob.say("chat", temperature=0, seed=1059)["mesh"]["cached"], "the room that is left is the other's"
    assert not bob.say("chat", temperature=0, seed=1000)["mesh"].get("cached")
