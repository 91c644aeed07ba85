"""`meshctl search`, `translate` and `parse` as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.providers.services.documents import PAGES
from tests.support.providers.services.searches import page
from tests.support.waiting import WAIT


@pytest.fixture
def meshctl(daemon: Any) -> Any:
    def run(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "meshd.cli", "--socket", str(daemon.socket), *words]
        done = subprocess.run(command, input=given, capture_output=True, timeout=WAIT, check=False)
        assert b"Traceback" not in done.stderr, done.stderr
        return done

    return run


def test_search(meshctl: Any) -> None:
    title, url, words = page(0)
    done = meshctl("search", "lamps", "--model", "two", "-n", "2", "--domain", "a.example")
    assert done.stdout.decode().splitlines()[:3] == [title, f"  {url}", f"  {words}"]
    assert b"tavily.search" in done.stderr
    told = json.loads(meshctl("search", "-", "--model", "two", "--json", given=b"lamps").stdout)
    assert told["results"][0]["url"] == url
    refused = meshctl("search", "x", "--model", "tavily.search", "--language", "de")
    assert (refused.returncode, b"`language`" in refused.stderr) == (1, True)


def test_translate(meshctl: Any) -> None:
    done = meshctl("translate", "a lamp", "--to", "de", "--model", "deepl.translate", "--informal")
    assert (done.stdout, done.returncode) == (b"DE: A LAMP\n", 0)
    assert b"from en" in done.stderr


def test_parse(meshctl: Any, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 /Type /Page ")
    done = meshctl("parse", str(tmp_path / "a.pdf"), "--model", "llamaparse.agentic")
    assert done.stdout.decode() == f"# {PAGES[0]}\n\n# {PAGES[1]}\n"
    assert b"2 pages" in done.stderr
