"""A pod of this machine's namespaces, made of a manifest as Kubernetes makes one.

Owns: the volumes, with the owners and modes that kubelet gives them; the containers, each with its mounts, user,
command and environment. The image is this checkout, with the user, environment and entry point of the Containerfile.
Must never: change this machine's files or use its network. It needs root, unshare, nsenter, setpriv and ip.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
CONTAINERFILE = (ROOT / "systemd/container/Containerfile").read_text()
_PATIENCE = 60.0  # s
# Of the container, over this machine's. Root's home, because the interpreter may be there, for everyone to read.
_OWN_LAYERS = ("/etc", "/usr", "/var/lib", "/root")
_FAMILY = "meshd:x:65532:"  # what the Containerfile adds to the users and groups


def missing() -> str:
    """Why there can be no pod here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in ("unshare", "nsenter", "setpriv", "ip") if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    if any(place.startswith(("/tmp/", "/run/")) for place in (str(ROOT), sys.prefix, sys.base_prefix)):
        return "the checkout is where a pod has volumes"
    tried = ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/run"]
    return "" if subprocess.run(tried, capture_output=True).returncode == 0 else "no namespace can be made"


class Volumes:
    """claim: the mode of a new persistent volume, and whether the pod's group is set in it, which depends on its kind.
    contents: of each ConfigMap and Secret."""

    def __init__(self, place: Path, pod: Any, contents: dict[str, dict[str, str]], claim: tuple[int, bool]) -> None:
        self._place, self._contents, self._claim = place, contents, claim
        self._group = pod["securityContext"]["fsGroup"]
        for volume in pod["volumes"]:
            self._make(self.path(volume["name"]), volume)

    def path(self, name: str) -> Path:
        return self._place / name

    def _make(self, path: Path, volume: dict[str, Any]) -> None:
        if "persistentVolumeClaim" in volume:
            mode, has_group = self._claim
            if not path.exists():
                _folder(path, mode)
            if has_group:
                self._own(path, 0o660)
            return
        shutil.rmtree(path, ignore_errors=True)
        in_memory = "secret" in volume or "projected" in volume or volume.get("emptyDir", {}).get("medium") == "Memory"
        _folder(path, 0o1777 if in_memory else 0o777)  # a file system in memory has the sticky bit
        self._own(path, 0o660)
        sources = volume.get("projected", {}).get("sources") or [volume]
        files = {name: text for source in sources for name, text in self._files(source).items()}
        mode = next((each["defaultMode"] for each in volume.values() if "defaultMode" in each), 0o644)
        if files:
            self._write(path, files, mode)
            self._own(path, 0o440)

    def _files(self, source: dict[str, Any]) -> dict[str, str]:
        if "configMap" in source:
            return self._contents[source["configMap"]["name"]]
        return self._contents[source["secret"]["secretName"]] if "secret" in source else {}

    def _write(self, path: Path, files: dict[str, str], mode: int) -> None:
        """As kubelet's AtomicWriter does: behind two links, so that all files change at one instant."""
        dated = path / "..2026_01_01_00_00_00.1"
        _folder(dated, 0o755)
        (path / "..data").symlink_to(dated.name)
        for name, text in files.items():
            (dated / name).write_text(text)
            (dated / name).chmod(mode)
            (path / name).symlink_to(f"..data/{name}")

    def _own(self, path: Path, mask: int) -> None:
        """As kubelet's SetVolumeOwnership does, of which nothing is taken away."""
        for each in [path, *path.rglob("*")]:
            found = each.lstat()
            os.chown(each, found.st_uid, self._group, follow_symlinks=False)
            if not stat.S_ISLNK(found.st_mode):
                each.chmod(stat.S_IMODE(found.st_mode) | mask | (0o2110 if stat.S_ISDIR(found.st_mode) else 0))


def _folder(path: Path, mode: int) -> None:
    path.mkdir(parents=True)
    path.chmod(mode)


class Container:
    """Running from the start; `run` is `kubectl exec`."""

    def __init__(self, place: Path, pod: Any, spec: dict[str, Any], volumes: Volumes) -> None:
        self._place, self._user = place, _as_user(pod["securityContext"])
        command = [*spec.get("command", _said("ENTRYPOINT")), *spec.get("args", [])]
        steps = [*self._layers(), *_mounts(spec, volumes), "ip link set lo up"]
        steps.append(f"exec {shlex.join(self._words(command))}")
        own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.log = place / "log"
        with self.log.open("w") as log:
            words = [*own, "sh", "-euc", "\n".join(steps)]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    def _layers(self) -> list[str]:
        """The file system of the image."""
        steps = ["mount -t tmpfs -o mode=755 none /run"]
        for number, path in enumerate(_OWN_LAYERS):
            upper, work = self._place / f"upper{number}", self._place / f"work{number}"
            _folder(upper, 0o755)
            _folder(work, 0o755)
            layers = f"lowerdir={path},upperdir={upper},workdir={work}"
            steps.append(f"mount -t overlay -o {shlex.quote(layers)} overlay {path}")
        usr, etc = self._place / "upper1", self._place / "upper0"
        _folder(usr / "bin", 0o755)
        for program, module in (("meshd", "meshd"), ("meshctl", "meshd.cli")):
            (usr / "bin" / program).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m {module} "$@"\n')
            (usr / "bin" / program).chmod(0o755)
        for name, line in (("passwd", f"{_FAMILY}65532::/var/lib/meshd:/usr/sbin/nologin"), ("group", _FAMILY)):
            others = [each for each in Path("/etc", name).read_text().splitlines() if not each.startswith("meshd:")]
            (etc / name).write_text("\n".join([*others, line, ""]))
        return steps

    def _words(self, command: list[str]) -> list[str]:
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE=1", *_environment()]
        return [*environment, *self._user, *command]

    @property
    def _inside(self) -> list[str]:
        """What stands in front of a command that runs in it, as root."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        leader = children[0] if children else "0"  # not yet, or ended: nsenter finds no such process
        return ["nsenter", f"--target={leader}", "--mount", "--net", "--pid", "--wd=/"]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        words = [*self._inside, *self._words([*command])]
        return subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=False)

    def probe(self, probe: dict[str, Any], ports: dict[str, int]) -> int:
        """The status of a probe with httpGet, which does not check certificates. 0: no connection."""
        asked = probe["httpGet"]
        address = f"{asked['scheme'].lower()}://127.0.0.1:{ports[asked['port']]}{asked['path']}"
        done = subprocess.run([*self._inside, sys.executable, "-c", _PROBE, address], capture_output=True, text=True)
        return int(done.stdout or 0)

    def wait_for(self, probe: dict[str, Any], ports: dict[str, int]) -> None:
        until(lambda: self.process.poll() is not None or self.probe(probe, ports) == 200, _PATIENCE)
        assert self.process.poll() is None, self.log.read_text()

    def end(self) -> int:
        """As kubelet ends it."""
        if self.process.poll() is None:
            subprocess.run([*self._inside, "kill", "-TERM", "1"], check=False)
        try:
            return self.process.wait(_PATIENCE)
        finally:
            self.process.kill()
            self.process.wait(_PATIENCE)


_PROBE = """
import ssl, sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=10, context=ssl._create_unverified_context()).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)
"""


def _mounts(spec: dict[str, Any], volumes: Volumes) -> list[str]:
    steps = []
    for mount in spec["volumeMounts"]:
        source, target = volumes.path(mount["name"]) / mount.get("subPath", ""), shlex.quote(mount["mountPath"])
        steps += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(source))} {target}"]
        if mount.get("readOnly"):
            steps.append(f"mount -o remount,bind,ro {target}")
    if spec["securityContext"]["readOnlyRootFilesystem"]:
        steps += [f"mount -o remount,bind,ro {path}" for path in ("/", "/run", *_OWN_LAYERS)]
    return steps


def _as_user(security: dict[str, Any]) -> list[str]:
    ids = [f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}", f"--groups={security['fsGroup']}"]
    return ["setpriv", *ids, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


def _said(instruction: str) -> list[str]:
    """The words of an instruction of the Containerfile."""
    found = re.search(rf"{instruction} (\[.*\])$", CONTAINERFILE, re.MULTILINE)
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words


def _environment() -> list[str]:
    found = re.search(r"^ENV ((?:.*\\\n)*.*)$", CONTAINERFILE, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1].replace("\\\n", " "))


def health_check() -> list[str]:
    return _said("CMD")
