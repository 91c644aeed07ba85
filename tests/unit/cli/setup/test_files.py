"""Commands that need no daemon: config and connectors."""

from __future__ import annotations

import getpass
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelmesh import DaemonUnavailableError

GOOD = """\
providers:
  one: {connector: openai-compatible.v1, base_url: "http://127.0.0.1:1/v1", api_key: "sk-very-secret"}
pools:
  chat: {capability: chat-completion}
"""
BAD = """\
providers:
  one: {connector: openai-compatible.v1, base_urll: "http://127.0.0.1:1/v1"}
pools:
  chat: {capability: chat-completoin}
"""


@pytest.fixture(autouse=True)
def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MESHD_CONFIG", raising=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "mesh.yaml").write_text(GOOD)
    return tmp_path / "mesh.yaml"


def test_validate(meshctl: Any, good: Path, tmp_path: Path) -> None:
    done = meshctl("config", "validate", str(good))
    assert (done.exit_code, done.stdout.replace("\n", "")) == (0, f"{good} is valid")
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD)
    done = meshctl("config", "validate", str(bad))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"{bad}:2: providers.one.base_urll: ") for line in lines)
    assert any(line.startswith(f"{bad}:4: pools.chat.capability: ") for line in lines)
    answer = json.loads(meshctl("config", "validate", str(bad), "--json").stdout)
    assert (answer["valid"], len(answer["problems"])) == (False, len(lines))
    missing = meshctl("config", "validate", str(tmp_path / "none.yaml"))
    assert (missing.exit_code, "cannot be read" in missing.stdout) == (1, True)


def test_show_asks_the_daemon(fake: Any, meshctl: Any) -> None:
    answer = {"source": "/etc/meshd/mesh.yaml", "generation": 2, "config": {"pools": {"chat": {}}}}
    fake.answers["GET config"] = answer
    shown = meshctl("config", "show").stdout
    assert shown.startswith("# /etc/meshd/mesh.yaml, generation 2\n")
    assert yaml.safe_load(shown) == answer["config"]
    assert json.loads(meshctl("config", "show", "--json").stdout) == answer
    resolved = json.loads(meshctl("config", "show", "--json", "--resolved").stdout)
    assert resolved["generation"] == 2
    assert resolved["config"]["pools"]["chat"]["retry"]["max_attempts"] == 2
    assert resolved["config"]["daemon"]["drain_timeout"] == 30.0


def test_show_without_a_daemon(fake: Any, meshctl: Any, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("config", "config?resolved=true"):
        fake.answers[f"GET {path}"] = DaemonUnavailableError("nobody", paths=["/nowhere"])
    built_in = meshctl("config", "show")
    assert (built_in.exit_code, "built-in, no daemon" in built_in.stdout) == (0, True)
    monkeypatch.setenv("MESHD_CONFIG", str(good))
    shown = meshctl("config", "show").stdout
    assert yaml.safe_load(shown)["providers"]["one"]["connector"] == "openai-compatible.v1"
    resolved = meshctl("config", "show", "--resolved").stdout
    assert yaml.safe_load(resolved)["providers"]["one"]["connect_timeout"] == 5.0
    assert "sk-very-secret" not in shown + resolved
    assert meshctl("config", "show", "--socket", "/nowhere").exit_code == 69


def test_schema(meshctl: Any) -> None:
    assert "pools" in json.loads(meshctl("config", "schema").stdout)["properties"]


def test_convert(meshctl: Any, good: Path, tmp_path: Path) -> None:
    toml, back = tmp_path / "mesh.toml", tmp_path / "back.json"
    assert meshctl("config", "convert", str(good), str(toml)).exit_code == 0
    assert meshctl("config", "convert", str(toml), str(back), "--json").exit_code == 0
    assert json.loads(back.read_text()) == yaml.safe_load(GOOD)
    assert toml.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(meshctl("config", "convert", str(toml), "-").stdout) == yaml.safe_load(GOOD)
    again = meshctl("config", "convert", str(good), str(toml))
    assert (again.exit_code, "--force" in again.stderr) == (1, True)
    assert meshctl("config", "convert", str(good), str(toml), "--force").exit_code == 0
    (tmp_path / "broken.yaml").write_text("a: [")
    assert meshctl("config", "convert", str(tmp_path / "broken.yaml"), "-").exit_code == 1


def test_init(meshctl: Any, tmp_path: Path) -> None:
    made = tmp_path / "config/meshd/mesh.yaml"
    said = meshctl("config", "init")
    assert (said.exit_code, f"Only daemons of {getpass.getuser()} read it" in said.stdout) == (0, True)
    assert made.read_text().startswith("#")
    assert meshctl("config", "validate", str(made)).exit_code == 0
    assert meshctl("config", "init").exit_code == 1
    assert meshctl("config", "init", "--force").exit_code == 0
    assert meshctl("config", "init", "-").stdout == made.read_text()
    other = tmp_path / "other.yaml"
    assert json.loads(meshctl("config", "init", str(other), "--json").stdout) == {"file": str(other)}
    assert not list(tmp_path.glob(".other*"))


READERS = {
    "etc/mesh.yaml": "The machine's service reads it, and a user's daemon that has no file of its own.",
    "config/meshd/mesh.yml": "the machine's service reads etc.",
    "mesh.yaml": "No daemon reads it by itself: start one with `meshd --config mesh.yaml`.",
    "etc/other.yaml": "No daemon reads it by itself",
}


@pytest.mark.parametrize(("path", "said"), READERS.items())
def test_init_says_which_daemon_reads_the_file(
    path: str, said: str, meshctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshd.config.read.lookup.SYSTEM_DIRECTORY", "etc")
    assert said in " ".join(meshctl("config", "init", path).stdout.split())


def test_connectors(meshctl: Any) -> None:
    assert "openai.llm.v1" in meshctl("connectors").stdout
    rows = json.loads(meshctl("connectors", "--json", "--type", "storage").stdout)["data"]
    assert {row["type"] for row in rows} == {"storage"}
    assert "OPENAI_API_KEY" in meshctl("connectors", "openai.llm.v1").stdout
    assert json.loads(meshctl("connectors", "openai.llm.v1", "--json").stdout)["key_env"] == ["OPENAI_API_KEY"]
    told = meshctl("connectors", "openai.llm.v1").stdout
    for key in ("ca_file", "base_url", "api_key", "auth.method", "headers", "timeout", "rate_limit.rpm"):
        assert re.search(rf"^{re.escape(key)}\b", told, re.M), key
    sink = json.loads(meshctl("connectors", "modelmesh.file.v1", "--json").stdout)["section"]
    assert (sink["name"], "logging.level" in [row["key"] for row in sink["keys"]]) == ("observability", True)
    assert json.loads(meshctl("connectors", "modelmesh.health-monitor.v1", "--json").stdout)["section"] is None
    unknown = meshctl("connectors", "openai.lml.v1")
    assert (unknown.exit_code, "openai.llm.v1" in unknown.stderr) == (2, True)
    wrong = meshctl("connectors", "--type", "colour")
    assert (wrong.exit_code, "provider, rotation" in wrong.stderr) == (2, True)
