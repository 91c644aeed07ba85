"""Builds the Debian packages: `python systemd/deb.py DIR` (`make deb`).

Owns: the tree that Debian's tools build, and its changelog. How they build it: `systemd/debian/rules`. MESHD_COMPILED=1
puts a compiled wheel in; MESHD_EXTRAS names what else than `daemon,secrets`.
"""

from __future__ import annotations

import email.utils
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import dist

INTERPRETER = "/usr/bin/python3"  # as in systemd/debian/rules
OWN = ("meshd_*", "meshd-local_*")
CHANGELOG = """\
meshd ({version}-1) unstable; urgency=medium

  * Version {version}; what is new is in CHANGELOG.md.

 -- {maintainer}  {date}
"""


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    wanted = ("dpkg-buildpackage", "dh", "dh_installsysusers", "py3compile")
    missing = [name for name in wanted if not shutil.which(name)]
    if missing:
        sys.exit(f"{', '.join(missing)} missing: apt-get install build-essential debhelper python3")
    with tempfile.TemporaryDirectory(prefix="meshd-deb-") as place:
        wheel = dist.build(Path(place), compiled=False)
        sdist = next(Path(place).glob("*.tar.gz"))
        with tarfile.open(sdist) as archive:
            archive.extractall(place, filter="data")
        tree = next(path for path in Path(place).iterdir() if path.is_dir())
        if os.environ.get("MESHD_COMPILED") == "1":
            wheel = compiled(sdist, Path(place) / "compiled")
        shutil.copytree(tree / "systemd" / "debian", tree / "debian")
        version = version_of(wheel.name.split("-")[1])
        (tree / "debian" / "changelog").write_text(changelog(tree, version))
        (tree / "debian" / "rules").chmod(0o755)
        environment = os.environ | {"MESHD_WHEEL": str(wheel), "MESHD_PIP": installer()}
        subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=tree, env=environment, check=True)
        dist.remove_earlier(folder, *OWN)
        for path in Path(place).iterdir():
            if path.suffix in (".deb", ".changes", ".buildinfo"):
                shutil.copy2(path, folder)
    return 0


def compiled(sdist: Path, folder: Path) -> Path:
    """The wheel with compiled modules, made by the interpreter that will run it, which is Debian's."""
    words = [sys.executable, "-m", "pip", "--python", INTERPRETER, "wheel", "--quiet", "--no-deps", "--no-cache-dir"]
    environment = os.environ | {"MESHD_COMPILED": "1"}
    subprocess.run([*words, "--wheel-dir", str(folder), str(sdist)], env=environment, check=True)
    return next(folder.glob("*.whl"))


def version_of(released: str) -> str:
    """With the commit and its date, unless it is that of a release: apt upgrades to what is newer."""
    described = ("describe", "--tags", "--exact-match", "--match", f"v{released}", "--dirty")
    git = ["git", "-C", str(dist.HERE)]
    done = subprocess.run([*git, *described], capture_output=True, text=True, check=False)
    if done.stdout.strip() == f"v{released}":
        return released
    date = dist.output(*git, "log", "-1", "--date=format-local:%Y%m%d.%H%M%S", "--format=%cd", TZ="UTC")
    commit = dist.output(*git, "describe", "--always", "--dirty=.changed", "--abbrev=7", "--exclude=*")
    return f"{released}+git{date}.{commit}"


def changelog(tree: Path, version: str) -> str:
    maintainer = re.search(r"^Maintainer: (.*)$", (tree / "debian" / "control").read_text(), re.MULTILINE)
    assert maintainer is not None
    date = email.utils.formatdate(int(dist.epoch()), usegmt=False)
    return CHANGELOG.format(version=version, maintainer=maintainer[1], date=date)


def installer() -> str:
    """What installs Python packages into another environment: uv, where it is and finds the index, else pip."""
    for words in (["-m", "uv", "pip", "install"], ["-m", "pip", "install"]):
        if subprocess.run([sys.executable, *words, "--help"], capture_output=True).returncode == 0:
            return f"{sys.executable} {' '.join(words)} {'--quiet' if 'uv' in words else ''}".strip()
    sys.exit("neither uv nor pip is there")


if __name__ == "__main__":
    sys.exit(main())
