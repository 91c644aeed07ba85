"""What would stop a start, found before it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.before_start import preflight
from meshd.config import MeshConfig
from meshd.config.advice import of_matches, of_plain_keys, of_plain_tokens, of_unknown_programs
from meshd.host.installing import how_to_install
from meshd.host.process import start


def config(tmp_path: Path, **sections: Any) -> MeshConfig:
    written: dict[str, Any] = {"daemon": {"state_dir": str(tmp_path / "state"), "socket": str(tmp_path / "m.sock")}}
    return MeshConfig({**written, **sections}, environ={})


def found(config: MeshConfig, **options: Any) -> list[tuple[str, bool]]:
    return [(each.subject, each.fatal) for each in preflight.obstacles(config, **options)]


def test_nothing_is_in_the_way_and_nothing_is_made(tmp_path: Path) -> None:
    assert found(config(tmp_path), strict=True) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("written", "strict", "fatal"),
    [({}, False, False), ({}, True, True), ({"fail_on_missing": True}, False, True),
     ({"fail_on_missing": False}, True, False)],
)  # fmt: skip
def test_a_missing_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Any, strict: bool, fatal: bool
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    made = config(tmp_path, providers={"groq": {"api_key": "${secrets:GROQ_API_KEY}"}}, secrets=written)
    assert found(made, strict=strict) == [("secret", fatal)]
    monkeypatch.setenv("GROQ_API_KEY", "x")
    assert found(made, strict=strict) == []


def test_a_key_of_the_daemons_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "curve.key"
    daemon = {"listen": ["tcp://127.0.0.1:7411"], "curve": {"secret_key_file": str(file)}}

    def refused() -> list[preflight.Obstacle]:
        return list(preflight.refusals(preflight.Secrets(MeshConfig({"daemon": daemon}))))

    for content, mode, why in (
        (None, 0o600, "there is no file"),
        ("a" * 40, 0o644, "can be read by others"),
        ("short", 0o600, "40 characters of Z85"),
    ):
        if content is not None:
            file.write_text(content)
            file.chmod(mode)
        [obstacle] = refused()
        assert (obstacle.subject, obstacle.fatal) == ("curve", True)
        assert why in obstacle.message
    file.write_text("a" * 40)
    assert refused() == []


def test_a_provider_whose_address_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    made = config(tmp_path, providers={"bedrock": {"connector": "aws.bedrock.v1", "api_key": "k"}})
    (obstacle,) = preflight.obstacles(made)
    assert (obstacle.subject, obstacle.fatal) == ("provider", False)
    assert "provider bedrock is left out: set AWS_REGION" in obstacle.message
    assert "auth.region" in obstacle.message
    made = config(tmp_path, providers={"google": {"connector": "google.cloud-ai.v1", "api_key": "k"}})
    (obstacle,) = preflight.obstacles(made)
    assert "chirp" in obstacle.message
    assert "set GOOGLE_CLOUD_PROJECT" in obstacle.message
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    assert found(config(tmp_path, providers={"bedrock": {"connector": "aws.bedrock.v1", "api_key": "k"}})) == []
    assert found(made) == []


def test_a_socket_that_is_taken_or_none(tmp_path: Path) -> None:
    place = tmp_path / "m.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(place))
        other.listen()
        assert found(config(tmp_path)) == [("socket", True)]
        assert list(preflight.obstacles(config(tmp_path), running=True)) == []
    assert found(config(tmp_path)) == [], "one that is left over is removed by a start"
    assert place.exists()
    place.unlink()
    place.write_text("")
    assert found(config(tmp_path)) == [("socket", True)]


def test_a_state_directory_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    made = config(tmp_path, daemon={"state_dir": str(tmp_path / "file/state"), "socket": str(tmp_path / "m.sock")})
    assert found(made) == [("state", True)]
    monkeypatch.setattr(preflight.os, "access", lambda *a, **k: False)
    subjects = list(preflight.state_directory(config(tmp_path)))
    assert "not writable" in subjects[0].message
    assert "chown" not in subjects[0].advice


def test_a_state_that_a_newer_version_has_written(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "format").write_text("99\n")
    (obstacle,) = preflight.obstacles(config(tmp_path))
    assert (obstacle.subject, obstacle.fatal) == ("state", True)
    assert "was written by a newer version of meshd" in obstacle.message


def test_matches_that_give_more_than_they_seem_to(tmp_path: Path) -> None:
    own, open_ = tmp_path / "own", tmp_path / "open"
    for path, mode in ((own, 0o700), (open_, 0o777)):
        path.write_text("")
        path.chmod(mode)
    apps = {
        "script": {"match": {"exe": "/usr/bin/python3"}},
        "own": {"match": {"exe": str(own)}},
        "open": {"match": {"exe": str(open_), "uid": os.getuid()}},
        "all": {"match": {"exe": "/bin/ls"}},
        "narrow": {"match": {"exe": "/bin/ls", "uid": os.getuid()}},
        "chief": {"match": {"exe": "/bin/ls"}, "admin": True},
        "capped": {"match": {"exe": "/bin/ls"}, "rate_limit": {"rpm": 5}},
    }
    said = "\n".join(of_matches(MeshConfig({"apps": apps}, environ={})))
    assert "apps.script.match.exe: /usr/bin/python3 is an interpreter" in said
    assert "apps.open.match.exe" in said
    assert "apps.all.match.exe: /bin/ls can be run by every user" in said
    assert "apps.narrow" not in said
    assert "apps.chief.match.exe: every user can run /bin/ls, and make it give the daemon any command" in said
    copies = "apps.capped.match.exe: a copy of /bin/ls at another path has no limits"
    assert copies in said
    apps["default"] = {"budget": {"daily_limit": 1}}
    assert copies not in "\n".join(of_matches(MeshConfig({"apps": apps}, environ={})))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"base_url": "http://10.0.0.5/v1", "api_key": "k-1"}, True),
        ({"base_url": "http://gpu.lan:8000/v1", "api_key": "k-1"}, True),
        ({"base_url": "http://gpu.lan/v1", "api_keys": ["k-1", "k-2"]}, True),
        ({"base_url": "http://gpu.lan/v1", "api_key": "${secrets:K}"}, True),
        ({"base_url": "https://gpu.lan/v1", "api_key": "k-1"}, False),
        ({"base_url": "http://gpu.lan/v1"}, False),
        ({"base_url": "http://gpu.lan/v1", "api_key": "EMPTY"}, False),
        ({"base_url": "http://gpu.lan/v1", "api_key": "k-1", "auth": {"method": "none"}}, False),
        ({"base_url": "http://gpu.lan/v1", "api_key": "k-1", "enabled": False}, False),
        *[
            ({"base_url": f"http://{host}/v1", "api_key": "k-1"}, False)
            for host in ("localhost:80", "127.0.0.2", "[::1]:1", "x.localhost")
        ],
        ({"base_url": "unix:/run/x.sock", "api_key": "k-1"}, False),
        ({"base_url": "http://gpu.lan/v1", "auth": {"method": "passthrough"}}, True),
        ({"base_url": "http://gpu.lan/v1", "auth": {"method": "entra"}}, True),
        ({"base_url": "http://gpu.lan/v1", "auth": {"method": "aws"}}, False),
    ],
)
def test_a_key_that_others_on_the_network_can_read_is_told(settings: dict[str, Any], told: bool) -> None:
    made = MeshConfig({"providers": {"p": {"connector": "openai-compatible.v1", **settings}}}, environ={})
    assert bool(list(of_plain_keys(made, {}))) is told


@pytest.mark.parametrize(
    ("url", "told"), [("http://login.lan/t", True), ("https://login.lan/t", False), ("http://127.0.0.1/t", False)]
)
def test_a_token_server_that_is_told_secrets_in_plain_text(url: str, told: bool) -> None:
    auth = {"method": "oauth", "token_url": url, "refresh_token": "r3fresh-r3fresh"}
    provider = {"connector": "openai-compatible.v1", "base_url": "https://h/v1", "auth": auth}
    made = MeshConfig({"providers": {"p": provider}}, environ={})
    assert bool(list(of_plain_tokens(made))) is told


def test_programs_of_other_users_that_cannot_be_told_apart_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = {
        "own": {"match": {"exe": "/bin/ls", "uid": os.geteuid()}},
        "other": {"match": {"exe": "/bin/ls"}},
        "unit": {"match": {"unit": "a.service"}},
    }
    made = MeshConfig({"apps": apps}, environ={})
    monkeypatch.setattr("meshd.config.advice.sees_other_programs", lambda: True)
    assert not list(of_unknown_programs(made))
    monkeypatch.setattr("meshd.config.advice.sees_other_programs", lambda: False)
    (said,) = of_unknown_programs(made)
    assert said.startswith("apps.other.match.exe: matches processes of ")
    assert "CAP_SYS_PTRACE" in said


@pytest.mark.parametrize("module", ["meshd", "meshd.cli"])
@pytest.mark.parametrize("package", ["pydantic", "typer", "pykka", "httptools"])
def test_a_missing_package_is_said_in_one_line(module: str, package: str, tmp_path: Path) -> None:
    """As after `pip install .` without the daemon's extra."""
    barred = tmp_path / "sitecustomize.py"
    names = "pydantic typer pykka httptools httpx rich uvloop yaml".split()  # noqa: SIM905
    barred.write_text(
        "import sys\nclass Barred:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {names!r}: raise ModuleNotFoundError('none', name=name)\n"
        "sys.meta_path.insert(0, Barred())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", module, "status"] if module == "meshd.cli" else [sys.executable, "-m", module],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == start.EX_UNAVAILABLE
    assert len(done.stderr.splitlines()) == 1
    assert how_to_install("daemon") in done.stderr


def test_a_proxy_that_is_refused_is_named_with_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    from meshd.compilation.before_start.preflight import proxies

    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:secret@proxy:1")
    there = {"connector": "openai-compatible.v1", "base_url": "https://x.example/v1"}
    here = there | {"base_url": "http://127.0.0.1:1/v1"}
    (found,) = proxies(MeshConfig({"providers": {"far": there, "near": here}}, environ={}))
    assert "provider far cannot be reached: HTTPS_PROXY names a proxy of the kind gopher://" in found.message
    assert "secret" not in found.message
    assert not found.fatal


def test_what_in_no_proxy_has_no_effect_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from meshd.compilation.before_start.preflight import proxies

    monkeypatch.setenv("no_proxy", '"192.168.1.*,10.0.0.0/99,.corp"')
    there = {"connector": "openai-compatible.v1", "base_url": "https://x.example/v1"}
    (found,) = proxies(MeshConfig({"providers": {"a": there, "b": there}}, environ={}))
    assert found.message == "no_proxy: 10.0.0.0/99 is not a network (10.0.0.0/8), so it has no effect"
    assert not found.fatal
    monkeypatch.setenv("no_proxy", ",".join(f"10.0.0.{n}/99" for n in range(1000)))
    assert len(list(proxies(MeshConfig({}, environ={})))) == 10
