"""Builds what is published: `python systemd/dist.py DIR` (`make dist`).

Owns: the sdist, the wheel made of it, the SBOM, the checksums. They have the man pages and completions. The same
sources and tools make the same bytes: dates are those of the last commit, or SOURCE_DATE_EPOCH. MESHD_COMPILED=1
adds the wheel of this platform, whose hot modules are compiled. pip takes it where it fits.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SHARE = Path("systemd") / "share"  # in the sdist; hatch_build.py puts it into the wheel
SUMS = "SHA256SUMS"
OWN = ("modelmesh-*", SUMS)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the sdist and the wheel, an SBOM and checksums.")
    parser.add_argument("folder", type=Path, help="where they go, in the place of earlier ones")
    parser.add_argument("--packages", action="store_true", help="only the sdist and the wheel")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    remove_earlier(folder, *OWN)
    wheel = build(folder, compiled=os.environ.get("MESHD_COMPILED") == "1")
    if not options.packages:
        write_sbom(wheel, folder / f"{wheel.name.split('-py3')[0]}.cdx.json")
        packages = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
        run(sys.executable, "-m", "twine", "check", "--strict", *map(str, packages))
        (folder / SUMS).write_text(checksums(folder))
    return 0


def remove_earlier(folder: Path, *patterns: str) -> None:
    """What an earlier run has put there. Other files stay: `make dist` and `make deb` share a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        path.unlink()


def build(folder: Path, *, compiled: bool) -> Path:
    """The sdist, and the wheels made of it alone. Returns the one for every platform."""
    os.environ["SOURCE_DATE_EPOCH"] = epoch()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="meshd-dist-") as place:
        tree = Path(place) / "tree"
        copy(tree)
        run(sys.executable, "-m", "meshd.manual", str(tree / SHARE), cwd=HERE)  # which has its bytecode already
        run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder), cwd=tree)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            archive.extractall(place, filter="data")
        unpacked = next(path for path in Path(place).iterdir() if path != tree)
        for form in ("0", "1") if compiled else ("0",):
            words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
            run(*words, cwd=unpacked, MESHD_COMPILED=form)
    return next(folder.glob("*-none-any.whl"))


def epoch() -> str:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return given or output("git", "-C", str(HERE), "log", "-1", "--format=%ct")


def copy(tree: Path) -> None:
    """The files of the project, without what lies about in the checkout."""
    for name in output("git", "-C", str(HERE), "ls-files", "-z").split("\0"):
        source = HERE / name
        if name and source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)


def write_sbom(wheel: Path, path: Path) -> None:
    """What an installation with everything consists of, with today's versions."""
    with tempfile.TemporaryDirectory(prefix="meshd-sbom-") as place:
        venv.create(place)
        python = f"{place}/bin/python"
        install(python, f"{wheel}[all]")
        words = ["environment", python, "--pyproject", str(HERE / "pyproject.toml"), "--mc-type", "application"]
        words += ["--output-reproducible", "--output-file", str(path)]
        run(sys.executable, "-m", "cyclonedx_py", *words)


def install(python: str, *what: str) -> None:
    """Into an environment without pip. uv is several times as fast, but does not know every index that pip knows."""
    quiet = ["--quiet", "--quiet"]
    if subprocess.run([sys.executable, "-m", "uv", "pip", "install", *quiet, "--python", python, *what]).returncode:
        run(sys.executable, "-m", "pip", *quiet, "--python", python, "install", *what)


def checksums(folder: Path) -> str:
    files = sorted(folder.glob(OWN[0]))
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def run(*command: str, cwd: Path | None = None, **given: str) -> None:
    # Modules of the folder itself, whichever are installed; nothing is written beside the sources.
    own = {"PYTHONPATH": f"{cwd}:{cwd / 'client'}", "PYTHONDONTWRITEBYTECODE": "1"} if cwd else {}
    environment = os.environ | own | given
    subprocess.run(command, cwd=cwd, env=environment, check=True)


def output(*command: str, **given: str) -> str:
    environment = os.environ | given
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
