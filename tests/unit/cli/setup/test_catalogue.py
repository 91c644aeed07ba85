"""`meshctl catalogue`: what it lists, what it changes, and that it changes nothing that it has not shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from meshd.catalogue import overrides
from meshd.catalogue.price_list import PriceList
from tests.support.config.price_lists import listing, model, price

TREBLED = [
    model("gpt-5-mini", price(input_mtok=0.75, output_mtok=6)),
    model("gpt-9", price(input_mtok=1, output_mtok=1)),
]


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PriceList, "installed", lambda: listing(TREBLED, "openai"))


def test_providers_models_and_one_model(meshctl: Any, tmp_path: Path) -> None:
    here = ("--dir", str(tmp_path))
    assert "openai.llm.v1" in meshctl("catalogue", "list", *here).stdout
    assert "gpt-5-mini" in meshctl("catalogue", "list", "openai", *here).stdout
    told = json.loads(meshctl("catalogue", "show", "groq.inference.v1", "whisper-large-v3", "--json", *here).stdout)
    assert (told["provider"], told["prices"]) == ("groq.api.v1", {"per_minute": "0.00185"})
    assert meshctl("catalogue", "show", "openai", "gpt-5-mimi", *here).stderr.count("gpt-5-mini") > 0
    assert "nobody" in meshctl("catalogue", "list", "nobody", *here).stderr


@pytest.mark.usefixtures("prices")
def test_an_update_is_shown_asked_for_kept_and_removed(meshctl: Any, tmp_path: Path) -> None:
    here = ("--dir", str(tmp_path))
    shown = meshctl("catalogue", "update", "--dry-run", *here).stdout
    lines = [line.split() for line in shown.splitlines() if "gpt-5-mini" in line]
    assert ["openai.llm.v1", "gpt-5-mini", "input_per_1m", "0.25", "0.75"] in [line[:5] for line in lines]
    assert "prices are added for 1 model that the catalogue does not have" in shown
    assert meshctl("catalogue", "update", *here, input="n\n").stdout.count("gpt-5-mini") > 1
    assert list(tmp_path.iterdir()) == []
    done = json.loads(meshctl("catalogue", "update", "--yes", "--json", *here).stdout)
    assert done["file"] == str(tmp_path / overrides.NAME)
    told = json.loads(meshctl("catalogue", "show", "openai", "gpt-5-mini", "--json", *here).stdout)
    assert (told["prices"]["input_per_1m"], told["date"]) == ("0.75", "2026-11-28")
    assert "nothing changes" in meshctl("catalogue", "update", "--yes", *here).stdout
    assert "removed" in meshctl("catalogue", "reset", *here).stdout
    assert "nothing to remove" in meshctl("catalogue", "reset", *here).stdout
    told = json.loads(meshctl("catalogue", "show", "openai", "gpt-5-mini", "--json", *here).stdout)
    assert told["prices"]["input_per_1m"] == "0.25"


def test_json_does_not_ask(meshctl: Any, tmp_path: Path) -> None:
    assert "--yes or --dry-run" in meshctl("catalogue", "update", "--json", "--dir", str(tmp_path)).stderr


def test_without_the_package(meshctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    said = meshctl("catalogue", "update", "--dry-run", "--dir", str(tmp_path)).stderr
    assert "needs the package genai-prices" in said


def test_a_broken_file_is_named(meshctl: Any, tmp_path: Path) -> None:
    overrides.place(tmp_path).write_text("{")
    assert "meshctl catalogue reset" in meshctl("catalogue", "list", "openai", "--dir", str(tmp_path)).stderr


def test_exit_codes(meshctl: Any, tmp_path: Path) -> None:
    here = ("--dir", str(tmp_path))
    assert meshctl("catalogue", "list", "nobody", *here).exit_code == 2
    overrides.place(tmp_path).write_text("{")
    assert meshctl("catalogue", "list", "openai", *here).exit_code == 1
