"""What a list of prices changes, and the file of those that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd.catalogue import overrides, refresh
from meshd.catalogue.known import ModelRow, ProviderRow
from meshd.catalogue.overrides import NONE, Listed, Overrides
from meshd.catalogue.refresh import refreshed
from meshd.compilation.models.known_models import KnownModels
from tests.support.config.price_lists import listing, model, price

ACME = ProviderRow(id="acme.llm.v1", name="acme", description="Acme", price_list="acme")
ROWS = {
    "same": {"input_per_1m": "1", "output_per_1m": "2"},
    "dearer": {"input_per_1m": "1", "output_per_1m": "2", "per_image": "3"},
    "ear": {"per_minute": "0.006"},
    "eye": {"per_request": "0.004"},
    "gone": {"input_per_1m": "7", "output_per_1m": "7"},
}
PRICES = listing(
    [
        model("same", price(input_mtok=1, output_mtok=2)),
        model("dearer", price(input_mtok=1.5, output_mtok=2, cache_read_mtok=0.1)),
        model("ear", price(input_mtok=3, output_mtok=4, audio_hours=0.6)),
        model("eye", price(input_document_kpages=5)),
        model("new", price(input_mtok=5, output_mtok=6)),
    ]
)


def row(id: str, prices: dict[str, str], **more: Any) -> ModelRow:
    return ModelRow(
        provider=ACME.id,
        id=id,
        capabilities=("chat-completion",),
        features=("vision",),
        prices=prices,
        source="https://acme.example",
        date="2026-01-01",
        **more,
    )


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(row(id, prices) for id, prices in ROWS.items())
    rows += (row("drawn", {"input_per_1m": "1", "output_per_1m": "2"}, images=({"size": "1x1", "price": "1"},)),)
    for module in ("meshd.catalogue.refresh", "meshd.compilation.models.known_models"):
        monkeypatch.setattr(f"{module}.load_models", lambda connector: rows if connector == ACME.id else ())


def test_only_what_differs_is_kept_and_shown() -> None:
    found = refreshed(PRICES, NONE, [ACME])
    assert [(each.model, each.key, each.old, each.new, each.known) for each in found.changes] == [
        ("dearer", "input_per_1m", "1", "1.5", True),
        ("dearer", "cached_input_per_1m", None, "0.1", True),
        ("ear", "per_minute", "0.006", "0.01", True),
        ("new", "input_per_1m", None, "5", False),
        ("new", "output_per_1m", None, "6", False),
    ]
    assert {id: told.prices for id, told in found.overrides.models[ACME.id].items()} == {
        "dearer": {"input_per_1m": "1.5", "output_per_1m": "2", "cached_input_per_1m": "0.1", "per_image": "3"},
        "ear": {"per_minute": "0.01"},
        "new": {"input_per_1m": "5", "output_per_1m": "6"},
    }
    again = refreshed(PRICES, found.overrides, [ACME])
    assert again == (found.overrides, [])
    back = refreshed(listing([model("dearer", price(input_mtok=1, output_mtok=2))]), found.overrides, [ACME])
    assert [(each.key, each.old, each.new) for each in back.changes] == [
        ("input_per_1m", "1.5", "1"),
        ("cached_input_per_1m", "0.1", None),
    ]
    assert set(back.overrides.models[ACME.id]) == {"ear", "new"}, "what the list lost keeps its prices"


def test_kept_prices_count(tmp_path: Path) -> None:
    overrides.write(tmp_path, refreshed(PRICES, NONE, [ACME]).overrides)
    assert (tmp_path / overrides.NAME).stat().st_mode & 0o777 == 0o600
    known = KnownModels(str(tmp_path))
    assert known.notes == []
    dearer = known.of(ACME.id)["dearer"]
    nano = {
        "input_per_1m": 15 * 10**8,
        "output_per_1m": 2 * 10**9,
        "cached_input_per_1m": 10**8,
        "per_image": 3 * 10**9,
    }
    assert dearer.pricing == nano
    assert dearer.features == ("vision",)
    new = known.row(ACME.id, "new")
    assert new is not None
    assert (new.pricing, new.capabilities) == ({"input_per_1m": 5 * 10**9, "output_per_1m": 6 * 10**9}, ())
    assert "new" not in known.of(ACME.id)
    assert known.row(ACME.id, "newer") is None


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"models": []}',
        b'{"models": {"acme.llm.v1": {"m": {"prices": {"per_hour": "1"}, "source": "", "date": ""}}}}',
        b'{"models": {"acme.llm.v1": {"m": {"prices": {"input_per_1m": 1}, "source": "", "date": ""}}}}',
        b'{"models": {"acme.llm.v1": {"m": {"prices": {"input_per_1m": "free"}, "source": "", "date": ""}}}}',
        b'{"models": {"acme.llm.v1": {"m": {"prices": {"input_per_1m": "-1"}, "source": "", "date": ""}}}}',
        b'{"models": {"acme.llm.v1": {"m": {"prices": {}, "tiers": {"flex": {"a": "1"}}, "source": "", "date": ""}}}}',
        b"\xff",
    ],
)
def test_a_broken_file_is_told_and_not_used(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / overrides.NAME
    file.write_bytes(content)
    file.chmod(0o600)
    known = KnownModels(str(tmp_path))
    assert len(known.notes) == 1
    assert str(file) in known.notes[0]
    assert "the prices that came with meshd are used" in known.notes[0]
    assert known.of(ACME.id)["same"].prices == ROWS["same"]


def test_a_file_that_others_may_change_is_not_used(tmp_path: Path) -> None:
    file = overrides.write(tmp_path, Overrides({ACME.id: {"same": Listed(prices={}, source="", date="")}}))
    file.chmod(0o666)
    with pytest.raises(ValueError, match="is not used"):
        overrides.read(tmp_path)


def test_without_a_directory_or_a_file(tmp_path: Path) -> None:
    assert overrides.read("") == overrides.read(tmp_path) == NONE
    assert refresh.refreshed(PRICES, NONE, [ProviderRow(id="x.y.v1", name="x", description="X")]) == (NONE, [])
