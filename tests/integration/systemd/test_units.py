"""The shipped units, judged by the real `systemd-analyze`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "systemd"
WORST_EXPOSURE = 1.5

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def analyze(*arguments: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=50, env=environment, check=False
    )


@pytest.mark.parametrize(("scope", "folder"), [("--system", UNITS), ("--user", UNITS / "user")])
def test_verify(scope: str, folder: Path, tmp_path: Path) -> None:
    done = analyze(scope, "verify", str(folder / "meshd.service"), str(folder / "meshd.socket"), runtime=tmp_path)
    ours = [line for line in done.stderr.splitlines() if "meshd" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_units_that_docs_spend_shows(tmp_path: Path) -> None:
    page = (UNITS.parent / "docs/spend.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"```ini\n# (mesh-report\.\w+)\n(.*?)```", page, re.DOTALL))
    assert {*shown} == {"mesh-report.service", "mesh-report.timer"}
    for name, text in shown.items():
        (tmp_path / name).write_text(text)
    done = analyze("--user", "verify", *(str(tmp_path / name) for name in shown), runtime=tmp_path)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "mesh-report" in line]) == (0, [])


def test_exposure_of_the_system_service(tmp_path: Path) -> None:
    done = analyze(
        "security", "--offline=true", "--no-pager", "--threshold=15", str(UNITS / "meshd.service"), runtime=tmp_path
    )
    found = re.search(r"Overall exposure level for meshd.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= WORST_EXPOSURE
    assert done.returncode == 0


def directives(path: Path) -> dict[str, dict[str, list[str]]]:
    """A unit's sections; a key given several times keeps all its values."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            current.setdefault(key, []).append(value)
    return sections


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"])
def test_what_the_daemon_relies_on(folder: Path) -> None:
    service = directives(folder / "meshd.service")["Service"]
    assert service["Type"] == ["notify"]
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert service["RestartPreventExitStatus"] == ["78"]
    assert service["RuntimeDirectory"] == ["meshd"]
    assert service["RuntimeDirectoryPreserve"] == ["yes"], "stopping the service must leave the socket file"
    assert ("StateDirectory" in service) == (folder == UNITS), "a user's daemon keeps to the user's own folders"
    assert "WatchdogSec" in service


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"])
def test_systemd_never_gives_up(folder: Path) -> None:
    """It would close the socket, too. What a service does then, instead: tests/integration/systemd/test_machine.py."""
    unit, service = (directives(folder / "meshd.service")[section] for section in ("Unit", "Service"))
    assert unit["StartLimitIntervalSec"] == ["0"]
    (command,) = service["ExecStopPost"]
    pause = re.sub(r"^/bin/sh -c '(.*)'$", r"\1", command).replace("sleep 5", "echo waits")
    for result, said in (("exit-code", "waits\n"), ("success", ""), ("signal", ""), ("watchdog", "")):
        environment = {"SERVICE_RESULT": result}
        done = subprocess.run(["/bin/sh", "-c", pause], capture_output=True, text=True, env=environment, check=True)
        assert done.stdout == said, result


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"])
def test_callers_stay_visible(folder: Path) -> None:
    """/proc/PID/exe and /proc/PID/cgroup of every caller: none of what would hide them."""
    service = directives(folder / "meshd.service")["Service"]
    assert not {"ProtectProc", "ProcSubset", "PrivateUsers", "PrivatePIDs"} & service.keys()
    if folder == UNITS:
        assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == [""]


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"])
def test_it_is_bounded_and_cannot_reach_into_other_processes(folder: Path) -> None:
    service = directives(folder / "meshd.service")["Service"]
    assert {"MemoryMax", "TasksMax"} <= service.keys()
    left_out = {call for line in service["SystemCallFilter"] if line.startswith("~") for call in line[1:].split()}
    ways = {"process_vm_readv", "process_vm_writev", "kcmp", "process_madvise", "pidfd_getfd", "@debug", "@privileged"}
    assert ways <= left_out
    assert service["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"])
def test_the_documented_score_is_the_real_one(folder: Path, tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(folder / "meshd.service"), runtime=tmp_path)
    found = re.search(r"Overall exposure level for meshd.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    text = (UNITS.parent / "docs/operating.md").read_text().partition("## The sandbox")[2].partition("\n## ")[0]
    assert f" {found[1]}" in " ".join(text.split()), "another version of systemd may weigh differently: measure again"


@pytest.mark.parametrize(("folder", "path"), [(UNITS, "/run/meshd/mesh.sock"), (UNITS / "user", "%t/meshd/mesh.sock")])
def test_socket_is_where_clients_look(folder: Path, path: str) -> None:
    assert directives(folder / "meshd.socket")["Socket"]["ListenStream"] == [path]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_the_capability_of_the_documented_drop_in_suffices_for_proc() -> None:
    """Another user, with nothing but that one capability, reads the executable of root's process."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        reader = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        kept = ["--inh-caps=-all,+sys_ptrace", "--ambient-caps=+sys_ptrace", "--bounding-set=-all,+sys_ptrace"]
        target = ["readlink", f"/proc/{sleeper.pid}/exe"]
        with_it = subprocess.run([*reader, *kept, *target], capture_output=True, text=True, timeout=20, check=False)
        without = subprocess.run([*reader, *target], capture_output=True, text=True, timeout=20, check=False)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert with_it.stdout.strip().endswith("sleep")
    assert without.returncode != 0


def test_sysusers_and_tmpfiles_name_the_same_user(tmp_path: Path) -> None:
    assert directives(UNITS / "meshd.service")["Service"]["User"] == ["meshd"]
    assert (UNITS / "sysusers.d/meshd.conf").read_text().splitlines()[-1].split()[:2] == ["u", "meshd"]
    if shutil.which("systemd-sysusers"):
        root = tmp_path / "root"
        (root / "etc").mkdir(parents=True)
        done = subprocess.run(
            ["systemd-sysusers", f"--root={root}", str(UNITS / "sysusers.d/meshd.conf")],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "meshd:" in (root / "etc/passwd").read_text()
