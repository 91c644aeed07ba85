"""The files that make the daemon a service, and where they go.

Owns: the scopes (the machine's service, one user's), the files of each, and which `meshd` their units start.
Must never: write anything, or run a program.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from meshd.cli import daemon
from meshd.host.installing import how_to_install
from meshd.host.trust.paths import untrusted

SERVICE: Final = "meshd.service"
SOCKET: Final = "meshd.socket"
_DROP_IN: Final = f"{SERVICE}.d/10-meshctl.conf"
_DROP_IN_TEXT: Final = """\
# Written by `meshctl service install`: where this meshd is.
[Service]
Environment=PATH={path}
"""
_HIDDEN: Final = ("/home", "/root", "/run/user")  # from a service with ProtectHome=yes
_PATH: Final = re.compile(r"^Environment=PATH=(.+)$", re.MULTILINE)


class Scope(msgspec.Struct, frozen=True):
    """Whose service it is. units: the directory of its units; packaged: where distributions put theirs. others:
    further shipped files, with their places. enabled: the units that are switched on."""

    name: str
    shipped: str
    units: Path
    packaged: tuple[Path, ...]
    record: Path
    others: dict[str, Path]
    enabled: tuple[str, ...]
    root: str | None = None

    @property
    def systemctl(self) -> list[str]:
        if self.root is not None:
            return ["systemctl", f"--root={self.root}"]
        return ["systemctl", "--user"] if self.name == "user" else ["systemctl"]

    @property
    def is_live(self) -> bool:
        """Whether a running systemd is told of changes, instead of files being written only."""
        return self.root is None and os.path.isdir("/run/systemd/system")

    def at(self, path: str) -> Path:
        """A path of the machine, or of the image below `root`."""
        return Path(f"{self.root or ''}{path}")


def system(root: str | None = None) -> Scope:
    """root: the root directory of an image, instead of this machine."""
    at = f"{root or ''}/"
    return Scope(
        name="system",
        shipped="",
        units=Path(f"{at}etc/systemd/system"),
        packaged=tuple(Path(f"{at}{each}/systemd/system") for each in ("usr/lib", "lib", "usr/local/lib")),
        record=Path(f"{at}var/lib/misc/meshd-service.json"),  # the state directory is the daemon's user's
        others={
            "sysusers.d/meshd.conf": Path(f"{at}etc/sysusers.d/meshd.conf"),
            "tmpfiles.d/meshd.conf": Path(f"{at}etc/tmpfiles.d/meshd.conf"),
        },
        enabled=(SOCKET, SERVICE),
        root=root,
    )


def user(home: Path) -> Scope:
    config = _xdg("XDG_CONFIG_HOME", home / ".config")
    return Scope(
        name="user",
        shipped="user/",
        units=config / "systemd" / "user",
        packaged=tuple(Path(f"{each}/systemd/user") for each in ("/etc", "/usr/lib", "/usr/local/lib")),
        record=_xdg("XDG_STATE_HOME", home / ".local" / "state") / "meshd" / "service.json",
        others={},
        enabled=(SOCKET,),
    )


def _xdg(name: str, default: Path) -> Path:
    given = os.environ.get(name, "")
    return Path(given) if given.startswith("/") else default


def wanted(scope: Scope) -> dict[Path, bytes]:
    """The content of each file. Raises Refused if no `meshd` is found that the service could start."""
    found = {scope.units / unit: _shipped(f"{scope.shipped}{unit}") for unit in (SERVICE, SOCKET)}
    found |= {place: _shipped(name) for name, place in scope.others.items()}
    path = _PATH.search(found[scope.units / SERVICE].decode())
    assert path is not None
    folder = None if scope.root is not None else _own_folder(scope, path[1])
    if folder is not None:
        found[scope.units / _DROP_IN] = _DROP_IN_TEXT.format(path=f"{folder}:{path[1]}").encode()
    return found


def _shipped(name: str) -> bytes:
    here = Path(__file__).parent / "units"  # in a wheel
    folder = here if here.is_dir() else Path(__file__).parents[3] / "systemd"
    return (folder / name).read_bytes()


def _own_folder(scope: Scope, path: str) -> str | None:
    """The directory of this installation's `meshd`; None if the unit finds it by itself. Raises Refused."""
    ours = Path(sys.executable).parent / "meshd"
    if not ours.exists():
        raise daemon.Refused(f"there is no {ours}; install the daemon there: {how_to_install('daemon')}")
    if scope.name == "system":
        _check_for_all(ours)
    if re.search(r"[\s%:\"'\\$]", str(ours)):
        raise daemon.Refused(f"{ours}: a unit cannot name such a path; install meshd elsewhere")
    for folder in path.replace("%h", os.path.expanduser("~")).split(":"):
        program = Path(folder) / "meshd"
        if program.exists():
            return None if program.resolve() == ours.resolve() else str(ours.parent)
    return str(ours.parent)


def _check_for_all(ours: Path) -> None:
    """Raises Refused if the service of the machine could not run it, or other users could change it."""
    advice = "install it for all users: python3 -m venv /opt/meshd && /opt/meshd/bin/pip install …"
    for place in (str(ours.resolve()), sys.prefix, sys.base_prefix):
        if place.startswith(tuple(f"{each}/" for each in _HIDDEN)):
            raise daemon.Refused(f"{place} is not visible to the machine's service (ProtectHome=yes); {advice}")
        fault = untrusted(place, 0)
        if fault is not None:
            raise daemon.Refused(f"{fault}, or {advice}")
