"""Install the servers of `servers.toml`, each by itself: `python -m tests.conformance.upstreams.install`.

What cannot be installed is said, and its tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
INSTALLED = ROOT / ".cache" / "upstreams"
SERVERS: dict[str, dict[str, str]] = tomllib.loads((HERE / "servers.toml").read_text())
SECONDS = 600.0


def directory(name: str) -> Path:
    return INSTALLED / name


def installed(name: str) -> bool:
    """At the version of `servers.toml`."""
    stamp = directory(name) / ".installed"
    wanted = SERVERS[name]
    return not wanted or (stamp.is_file() and stamp.read_text() == str(sorted(wanted.items())))


def install(name: str) -> None:
    place, wanted = directory(name), SERVERS[name]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for command in _commands(place, wanted):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise RuntimeError((done.stderr or done.stdout).strip().rpartition("\n")[2])
    (place / ".installed").write_text(str(sorted(wanted.items())))


def _commands(place: Path, wanted: dict[str, str]) -> list[list[str]]:
    if "npm" in wanted:
        return [["npm", "install", "--no-audit", "--no-fund", "--silent", wanted["npm"]]]
    python = str(place / "bin" / "python")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin") or shutil.which("uv")
    if uv:
        return [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)],
            [uv, "pip", "install", "--quiet", "--python", python, wanted["pip"]],
        ]
    return [
        [sys.executable, "-m", "venv", str(place)],
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", wanted["pip"]],
    ]


def main() -> int:
    for name in SERVERS:
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
