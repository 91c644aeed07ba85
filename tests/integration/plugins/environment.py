"""A fresh environment that has the project's packages and the outside package, installed by pip."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

ACME = Path(__file__).parent / "acme"
RUDE = Path(__file__).parent / "rude"


def fresh_environment(place: Path, *packages: Path) -> Path:
    """Its Python. The project is seen through a `.pth` file: installing it again would take a minute."""
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    seen = [path for path in sys.path if os.path.isdir(path) and not path.startswith(sys.base_prefix + os.sep)]
    (site,) = place.glob("lib/python*/site-packages")
    (site / "project.pth").write_text("\n".join(seen))
    for package in packages:
        wheel = build_wheel(package, place)
        subprocess.run(
            [sys.executable, "-m", "pip", f"--python={python}", "install", "-q", "--no-index", "--no-deps", wheel],
            check=True,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            timeout=60,
        )
    return python


def build_wheel(source: Path, place: Path) -> Path:
    """As the build backend of its pyproject.toml would, which may not be installed."""
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    metadata = f"{name}-{version}.dist-info"
    points = "".join(
        f"[{group}]\n" + "".join(f"{point} = {value}\n" for point, value in each.items())
        for group, each in project["entry-points"].items()
    )
    files = {
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{metadata}/entry_points.txt": points,
        **{str(file.relative_to(source)): file.read_text("utf-8") for file in sorted(source.glob("*/*.py"))},
    }
    files[f"{metadata}/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{metadata}/RECORD"))
    wheel = place / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return wheel
