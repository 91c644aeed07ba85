"""The Debian packages as files: what lintian says, whose they are, and which machines they are for. It takes minutes.

What they do on a machine: tests/integration/systemd/test_machine.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif("MESHD_DEB" not in os.environ, reason="MESHD_DEB names no package (make deb)"),
]


def _packages() -> Iterator[Path]:
    main = Path(os.environ["MESHD_DEB"])
    yield main
    engines = main.with_name(main.name.replace("meshd_", "meshd-local_"))
    if engines.exists():
        yield engines


def _run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_file_is_roots_and_only_programs_run() -> None:
    for package in _packages():
        for line in _run("dpkg-deb", "--contents", package).splitlines():
            mode, owner, *_, path = line.partition(" -> ")[0].split()
            assert owner == "root/root", line
            assert mode[0] == "l" or mode[5] == mode[8] == "-", f"others may write: {line}"
            if mode[0] == "-" and "x" in mode:
                assert path in ("./usr/lib/meshd/bin/meshd", "./usr/lib/meshd/bin/meshctl"), line


def test_links_of_the_pages_lead_somewhere(tmp_path: Path) -> None:
    _run("dpkg-deb", "--extract", os.environ["MESHD_DEB"], tmp_path)
    pages = [*(tmp_path / "usr/share/doc/meshd").rglob("*.md")]
    assert len(pages) > 40
    broken = []
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            if not os.path.lexists(page.parent / link) and "tests/" not in link:  # tests are not in the package
                broken.append(f"{page.relative_to(tmp_path)}: {link}")
    assert broken == []


def test_they_are_for_this_processor_and_debians_python() -> None:
    minor = int(_run("/usr/bin/python3", "-c", "import sys; print(sys.version_info.minor)"))
    suffix = _run("/usr/bin/python3", "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))").strip()
    for package in _packages():
        assert _run("dpkg-deb", "--field", package, "Architecture") == _run("dpkg", "--print-architecture")
    needs = _run("dpkg-deb", "--field", os.environ["MESHD_DEB"], "Depends")
    assert f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})" in needs
    compiled = [name for name in _run("dpkg-deb", "--contents", os.environ["MESHD_DEB"]).split() if "mypyc" in name]
    assert all(name.endswith(suffix) for name in compiled if "/meshd__mypyc" in name)
    assert compiled or os.environ.get("MESHD_COMPILED") != "1"


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_nothing() -> None:
    for package in _packages():
        assert _run("lintian", "--allow-root", "--fail-on=error,warning", package) == ""
