"""The project's sdist and wheels, built as `make dist` builds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def built(folder: Path, root: Path = ROOT, *, seconds: float = 110, **given: str) -> dict[str, bytes]:
    """The packages in `folder`, which is made, of the sources in `root`: plain ones, unless MESHD_COMPILED is given."""
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "MESHD_COMPILED": "0"} | given
    words = [sys.executable, str(root / "systemd/dist.py"), "--packages", str(folder)]
    done = subprocess.run(
        words, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def moved(place: Path) -> Path:
    """A checkout with the same files, at another place."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    for words in (["init", "--quiet"], ["add", "--all", "--force"]):
        subprocess.run(["git", "-C", str(place), *words], check=True)
    return place
