"""The documentation as a site: every link leads somewhere, and a page needs nothing from elsewhere."""

from __future__ import annotations

import re
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
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", "docs/site/mkdocs.yml"]
    done = subprocess.run(
        [*build, "--site-dir", str(place)],
        cwd=ROOT,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_every_link_leads_somewhere(site: Path) -> None:
    """mkdocs' own check, which fails the build; and the pages are there."""
    assert (site / "index.html").exists()
    assert (site / "start/apps/index.html").exists()
    assert (site / "project/CHANGELOG/index.html").exists()
    assert not (site / "status").exists()


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
