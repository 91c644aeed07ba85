"""A Debian machine with a real systemd, in a container of systemd-nspawn without a network.

Owns: the machine's tree (a layer over one that mmdebstrap makes once), its start, commands in it, its end.
Must never: reach this machine's files, processes or network. It needs root, mmdebstrap and systemd-container.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.waiting import until

BASE = Path(".cache/debian-root").absolute()
_PACKAGES = "systemd,systemd-sysv,dbus,libpam-systemd,dbus-user-session,python3,ca-certificates,procps,adduser,libgomp1"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 90.0  # s


def missing() -> str:
    """Why there can be no such machine here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in ("systemd-nspawn", "mmdebstrap", "nsenter") if shutil.which(name) is None]
    return f"needs {', '.join(absent)}" if absent else ""


def make_base() -> None:
    """A minimal Debian 12, for all machines. Raises CalledProcessError without Debian's packages."""
    if (BASE / "usr/bin/systemctl").exists():
        return
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.parent.mkdir(exist_ok=True)
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(BASE)]
    subprocess.run([*words, "http://deb.debian.org/debian"], check=True, timeout=600)
    (BASE / "etc/apt/sources.list").write_text("")
    shutil.rmtree(BASE / "var/lib/apt/lists", ignore_errors=True)


class Machine:
    """Started by `with`."""

    def __init__(self) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="meshd-machine-"))
        self.root = self._place / "root"
        self._leader = ""

    def __enter__(self) -> Machine:
        for name in ("root", "upper", "work"):
            (self._place / name).mkdir()
        layers = f"lowerdir={BASE},upperdir={self._place / 'upper'},workdir={self._place / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)
        try:
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _boot(self) -> None:
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--private-network"]
        words += [f"--directory={self.root}", f"--machine=meshd-{os.getpid()}", "--console=pipe"]
        with (self._place / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        until(self._is_up, _PATIENCE)

    def _is_up(self) -> bool:
        # The first child only prepares the tree; the second is the machine's first process.
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        self._leader = children[0] if children else ""
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn has ended: {(self._place / 'console').read_text()}")
        said = self.run("systemctl", "is-system-running", check=False).split() if children else []
        return bool({"running", "degraded"} & {*said})

    def __exit__(self, *exception: object) -> None:
        if self._leader:
            self._nspawn.terminate()
            try:
                self._nspawn.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(_PATIENCE)
        subprocess.run(["umount", str(self.root)], check=False)
        shutil.rmtree(self._place, ignore_errors=True)

    def run(self, *words: str, user: str = "", check: bool = True, input: str = "", seconds: float = _PATIENCE) -> str:
        """What the command says on standard output; on both streams, where it fails."""
        done = subprocess.run(
            [*self._inside(user), *words], input=input, capture_output=True, text=True, timeout=seconds, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout if done.returncode == 0 or check else done.stdout + done.stderr

    def start(self, *words: str) -> subprocess.Popen[str]:
        inside = [*self._inside(""), *words]
        return subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _inside(self, user: str) -> list[str]:
        words = ["nsenter", f"--target={self._leader}", "--all", "env", "-i", f"PATH={_PATH}", "LC_ALL=C.UTF-8"]
        if not user:
            return [*words, "HOME=/root"]
        number = self.run("id", "-u", user).strip()
        bus = f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{number}/bus"
        return [*words, f"HOME=/home/{user}", f"XDG_RUNTIME_DIR=/run/user/{number}", bus, "runuser", "-u", user, "--"]

    def files(self) -> set[str]:
        """Every file and folder that stays, without logs, caches and what package managers note."""
        left_out = (
            "/proc",
            "/sys",
            "/dev",
            "/tmp",
            "/srv",
            "/run",
            "/var/log",
            "/var/cache",
            "/var/lib/apt",
            "/var/lib/dpkg",
        )
        found = self.run("find", "/", "-xdev", "(", *_any_of(left_out), ")", "-prune", "-o", "-print")
        return {line for line in found.splitlines() if not line.endswith(("-", ".pyc", "__pycache__"))}


def _any_of(paths: tuple[str, ...]) -> list[str]:
    words = [word for path in paths for word in ("-path", path, "-o")]
    return words[:-1]
