"""The documentation as a site: every link leads somewhere, and a page needs nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meshd.core.events.event_type import MEANINGS, EventType
from meshd.manual.reference import FOLDER, pages

ROOT = Path(__file__).parents[3]
_LOADED = re.compile(
    r"<(?:script|img|iframe)[^>]* src=\"([^\"]+)\"|<link[^>]* rel=\"stylesheet\"[^>]* href=\"([^\"]+)\""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    done = _built(ROOT, place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def _built(project: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", "docs/site/mkdocs.yml", "--site-dir", str(place)],
        cwd=project,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_every_link_leads_somewhere(site: Path) -> None:
    """mkdocs' own check, which fails the build; and the pages are there."""
    assert (site / "index.html").exists()
    assert (site / "start/apps.html").exists()
    assert (site / "project/CHANGELOG.html").exists()
    assert not (site / "status.html").exists()


@pytest.mark.parametrize("link", ["no-such-page.md", "routing.md#nothing-here"])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str) -> None:
    for name in ("docs", "CHANGELOG.md", "SECURITY.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs/index.md").open("a") as file:
        file.write(f"\n[there]({link})\n")
    done = _built(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert link in done.stderr


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = ["".join(found) for found in _LOADED.findall(page.read_text(encoding="utf-8"))]
        assert loaded, page
        assert [address for address in loaded if address.startswith(("http:", "https:", "//"))] == [], page


@pytest.mark.parametrize("name", pages())
def test_generated_pages_are_up_to_date(name: str) -> None:
    written = (ROOT / FOLDER / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `make pages`"


def test_every_event_has_a_meaning() -> None:
    assert set(MEANINGS) == set(EventType)
