"""The same tests with an older `openai` package, which uses httpx rather than httpx2.

By hand, as it wants the package index once: `make soak`, or `.venv/bin/python -m pytest -m soak
tests/conformance/openai`. The virtual environment stays under `.cache/openai1`.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLACE = ROOT / ".cache" / "openai1"
PACKAGES = (
    "openai>=1.60,<2",
    "httpx<1",
    "pytest>=8.3",
    "pytest-asyncio>=0.25",
    "pytest-timeout",
    "hypothesis",
    "psutil",
)


@pytest.fixture(scope="module")
def python():
    """An interpreter with the project and an older SDK."""
    python = PLACE / "bin" / "python"
    if not (PLACE / ".installed").exists():
        venv.EnvBuilder(with_pip=True, clear=True).create(PLACE)
        installed = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "-e", f"{ROOT}[daemon]", *PACKAGES],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if installed.returncode:
            pytest.skip(f"the older SDK cannot be installed: {installed.stderr[-300:]}")
        (PLACE / ".installed").touch()
    return python


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_older_generation_passes_the_same_tests(python):
    version = subprocess.check_output([python, "-c", "import openai; print(openai.__version__)"], text=True)
    assert version.startswith("1.")
    assert sys.version_info >= (3, 11)
    ended = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_sdk.py"))],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
