"""`meshctl secrets` beside a daemon: what is written is used at once, and a key that is refused is put back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.pool_rule_cases import provider
from tests.support.processes import meshctl as forked
from tests.support.providers.credentials.keyed_provider import KeyedProvider

OLD, NEW, BAD = "sk-the-old-key-000000", "sk-the-new-key-111111", "sk-the-bad-key-2222222"
QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def keyed() -> Iterator[KeyedProvider]:
    upstream = KeyedProvider(OLD, NEW, guarded=True)
    yield upstream
    upstream.close()


@pytest.fixture
def daemon(meshd: Any, keyed: KeyedProvider) -> Any:
    return meshd(
        {
            "secrets": {
                "store": ["modelmesh.env.v1", "modelmesh.json-secrets.v1", "modelmesh.dotenv.v1"],
                "file_path": "keys.json",
                "path": "keys.env",
            },
            "providers": {"p": keyed.provider(api_key="${secrets:K}"), "q": keyed.provider(api_key="${secrets:Q}")},
            "models": {"p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
            "discovery": QUIET,
        }
    )


@pytest.fixture
def run(daemon: Any) -> Run:
    def run(*words: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        given = {"MESH_SOCKET": str(daemon.socket), "NO_COLOR": "1", "COLUMNS": "100", **environment}
        return forked.run("secrets", *words, "--config", str(daemon.config), input=input, **given)

    return run


def test_set_list_get_import_and_delete(run: Run, daemon: Any) -> None:
    assert not provider(daemon, "p")["enabled"]
    done = run("set", "K", input=f"{OLD}\n")
    assert (done.returncode, done.stdout) == (0, "wrote K to modelmesh.json-secrets.v1, and the daemon has read it\n")
    assert daemon.say(model="p.m").choices[0].message.content == "hi"
    assert (daemon.directory / "keys.json").stat().st_mode & 0o777 == 0o600
    assert run("get", "K").stdout == f"{OLD}\n"
    listed = run("list")
    assert listed.returncode == 1
    assert OLD not in listed.stdout
    [k, q] = json.loads(run("list", "--json").stdout)["data"]
    assert k == {"name": "K", "store": "modelmesh.json-secrets.v1", "used_by": ["p"]}
    assert (q["name"], q["store"]) == ("Q", None)
    more = daemon.directory / "more.env"
    more.write_text(f"# keys\nK={OLD}\nQ='{NEW}'\nR={NEW}\n")
    assert json.loads(run("import", str(more), "--json").stdout)["written"] == ["Q", "R"]
    assert provider(daemon, "q")["enabled"]
    done = run("import", "-", input=json.dumps({"R": OLD, "S": OLD}))
    assert done.returncode == 1
    assert "has other values of R; --force replaces them" in done.stderr
    assert run("import", "-", "--force", "--store", "modelmesh.dotenv.v1", input=json.dumps({"R": OLD})).returncode == 0
    assert run("get", "R").stdout == f"{NEW}\n", "of the first store"
    assert run("get", "R", "--store", "modelmesh.dotenv.v1").stdout == f"{OLD}\n"
    assert run("delete", "R").returncode == 0
    assert run("get", "R").stdout == f"{OLD}\n"
    assert run("list").returncode == 0
    for value in (OLD, NEW):
        assert value not in daemon.log()


def test_rotate_puts_back_a_key_that_a_provider_refuses(run: Run, daemon: Any, keyed: KeyedProvider) -> None:
    assert run("rotate", "K", input=NEW).returncode == 1, "there is none to replace"
    run("set", "K", input=OLD)
    daemon.say(model="p.m")
    assert "already has that value" in run("rotate", "K", input=OLD).stderr
    refused = run("rotate", "K", input=BAD)
    assert refused.returncode == 1
    assert "p refuses the new value" in refused.stderr
    assert "K has its old value again" in refused.stderr
    assert BAD not in refused.stdout + refused.stderr
    assert run("get", "K").stdout == f"{OLD}\n"
    assert daemon.say(model="p.m").choices[0].message.content == "hi"
    done = run("rotate", "K", "--json", input=NEW)
    told = json.loads(done.stdout)
    assert (told["store"], told["refused"], told["put_back"]) == ("modelmesh.json-secrets.v1", {}, False)
    assert list(told["daemon"]["left_out"]) == ["q"]
    daemon.say(model="p.m")
    assert keyed.asked[NEW] == 1
    kept = json.loads(run("rotate", "K", "--keep", "--json", input=BAD).stdout)
    assert (list(kept["refused"]), kept["put_back"]) == (["p"], False)
    assert run("get", "K").stdout == f"{BAD}\n"


def test_a_secret_that_another_section_uses_too(run: Run, daemon: Any) -> None:
    config = json.loads(daemon.config.read_text())
    sink = {"connector": "modelmesh.webhook.v1", "url": "http://127.0.0.1:9/", "secret": "${secrets:K}"}
    config["observability"] = {"logging": sink}
    run("set", "K", input=OLD)
    daemon.write(config)
    done = run("rotate", "K", input=NEW)
    assert (done.returncode, done.stderr) == (0, "")
    assert run("get", "K").stdout == f"{NEW}\n"


def test_what_is_said_without_a_daemon_or_for_another(run: Run, daemon: Any, tmp_path: Path) -> None:
    done = run("set", "K", input=OLD, MESH_SOCKET=str(tmp_path / "none"))
    assert done.returncode == 0
    assert "no daemon is running" in done.stderr
    other = tmp_path / "other.yaml"
    other.write_text(daemon.config.read_text())
    given = {"MESH_SOCKET": str(daemon.socket), "NO_COLOR": "1"}
    done = forked.run("secrets", "set", "K", "--config", str(other), input=OLD, **given)
    assert f"the running daemon uses {daemon.config}" in done.stderr.replace("\n", " ")
    (daemon.directory / "keys.json").chmod(0o644)
    assert "chmod 600" in run("set", "K", input=OLD).stderr


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("set", "K", "--store", "modelmesh.env.v1"), "cannot be written", 1),
        (("set", "K", "--store", "acme.v1"), "acme.v1 is not among the stores", 2),
        (("get", "NONE"), "has no NONE", 1),
        (("delete", "NONE"), "has no NONE", 1),
        (("import", "/nonexistent"), "cannot be read: No such file", 1),
        (("import", "-"), "not a JSON object", 2),
    ],
)
def test_what_cannot_be_done(run: Run, words: tuple[str, ...], said: str, code: int) -> None:
    done = run(*words, input="{x")
    assert done.returncode == code
    assert said in done.stderr.replace("\n", " ")


def test_a_value_that_cannot_be_a_key(run: Run) -> None:
    for value in ("", "a\nb", "kéy☃"):
        done = run("set", "K", input=value)
        assert done.returncode == 2
        assert "b" not in done.stdout
