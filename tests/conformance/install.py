"""Install what `packages.toml` names, each by itself: `python -m tests.conformance.install`, with names for some of it.

What cannot be installed is said, and its tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / ".cache" / "upstreams"
PACKAGES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "packages.toml").read_text())
SECONDS = 600.0


def directory(name: str) -> Path:
    return INSTALLED / name


def installed(name: str) -> bool:
    """At the version of `packages.toml`."""
    stamp = directory(name) / ".installed"
    wanted = PACKAGES[name]
    return not wanted or (stamp.is_file() and stamp.read_text() == str(sorted(wanted.items())))


def missing(name: str) -> str:
    """Why it cannot be tested here, "" if it can."""
    return "" if installed(name) else f"{name} is not installed: python -m tests.conformance.install {name}"


def install(name: str) -> None:
    place, wanted = directory(name), PACKAGES[name]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for command in _commands(place, wanted):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise RuntimeError((done.stderr or done.stdout).strip().rpartition("\n")[2])
    (place / ".installed").write_text(str(sorted(wanted.items())))


def _commands(place: Path, wanted: dict[str, Any]) -> list[list[str]]:
    if "npm" in wanted:
        # Without its scripts, which would compile for minutes where there is no binary for this machine.
        options = ("--no-audit", "--no-fund", "--silent", "--ignore-scripts")
        loads = ["node", "-e", f"require({wanted['loads']!r})"] if "loads" in wanted else []
        return [["npm", "install", *options, *_listed(wanted["npm"])], *([loads] if loads else [])]
    python = str(place / "bin" / "python")
    requirements = _listed(wanted["pip"])
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin") or shutil.which("uv")
    if uv:
        return [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)],
            [uv, "pip", "install", "--quiet", "--python", python, *requirements],
        ]
    return [
        [sys.executable, "-m", "venv", str(place)],
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *requirements],
    ]


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def main() -> int:
    usual = [name for name, wanted in PACKAGES.items() if not (wanted.get("bench") or wanted.get("conformance"))]
    for name in sys.argv[1:] or usual:
        if installed(name):
            continue
        print(f"== installing {name} for its tests", flush=True)
        try:
            install(name)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            print(f"could not install {name}, its tests are skipped: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
