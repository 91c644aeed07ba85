"""A start whose storage cannot be read yet: the router learns what earlier runs spent once it can, all of it once."""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.sdk.storage import Claim, Grant
from tests.support.keeping import crash, opened, settings_of, spend, usage, writer

RIGHT, WRONG = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


def with_key(connector: str, key: str) -> dict[str, object]:
    return {"connector": connector, "settings": {}, "key": key}


@given(
    connector=st.sampled_from(["modelmesh.sqlite.v1", "modelmesh.local-file.v1"]),
    stored=st.integers(0, 3),
    in_journal=st.integers(0, 3),
    meanwhile=st.integers(0, 3),
    looks=st.integers(0, 3),
    killed=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_what_was_spent_is_known_late_and_once(
    connector: str, stored: int, in_journal: int, meanwhile: int, looks: int, killed: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        first = opened(path, **with_key(connector, RIGHT))
        journal = writer(first)
        for number in range(stored):
            spend(journal, 5, number)
        first.changed("model", "m", {"n": 1})
        first.sync()
        for number in range(in_journal):
            spend(journal, 5, 10 + number)
        crash(first) if killed else first.close()
        before = stored + in_journal

        second = opened(path, **with_key(connector, WRONG))
        began = second.load()
        assert "another key" in began.unread
        assert not began.tables["usage"]
        journal = writer(second)
        for number in range(meanwhile):
            spend(journal, 5, 20 + number)
        second.changed("model", "other", {"n": 2})
        for _ in range(looks):
            assert not second.sync().ok
        assert second.take_late() is None
        assert second.prepare(settings_of(**with_key(connector, RIGHT))) == ""
        second.commit()
        late = second.take_late()
        assert late is not None
        assert late.late
        assert sum(row["cost"] for id, row in late.tables["usage"].items() if "\0pool\0" in id) == 5 * before
        assert late.tables["model"] == {"m": {"n": 1}}
        assert second.take_late() is None
        assert usage(second).get("cost", 0) == 5 * (before + meanwhile)
        crash(second) if killed else second.close()

        third = opened(path, **with_key(connector, RIGHT))
        assert third.load().unread == ""
        assert usage(third).get("cost", 0) == 5 * (before + meanwhile)
        assert set(third.load().tables["model"]) == {"m", "other"}
        third.close()


def test_a_directory_that_was_never_used_has_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    keeper = opened(tmp_path)
    assert keeper.error
    assert keeper.load().unread == ""


def test_a_damaged_row_takes_no_other_with_it(tmp_path: Path) -> None:
    first = opened(tmp_path, **with_key("modelmesh.local-file.v1", RIGHT))
    spend(writer(first), 5)
    for table in ("model", "file"):
        for id in ("one", "two"):
            first.changed(table, id, {"id": id})
    first.close()
    for path in (tmp_path / "state" / "files").glob("*%2Fone.value"):
        path.write_bytes(path.read_bytes()[:-3])
    again = opened(tmp_path, **with_key("modelmesh.local-file.v1", RIGHT))
    found = again.load()
    assert found.unread == ""
    assert usage(again)["cost"] == 5
    assert found.tables["model"] == {"two": {"id": "two"}}
    assert found.tables["file"] == {"two": {"id": "two"}}
    again.close()


def test_a_storage_elsewhere_is_not_forgotten_with_the_directory(tmp_path: Path) -> None:
    place = {"connector": "modelmesh.sqlite.v1", "settings": {"path": str(tmp_path / "kept.sqlite3")}}
    first = opened(tmp_path, **place, key=RIGHT)
    spend(writer(first), 5)
    first.close()
    shutil.rmtree(tmp_path / "state")
    second = opened(tmp_path, **place, key=WRONG)
    assert "another key" in second.load().unread
    spend(writer(second), 7, 1)  # its segment has the name of none that the storage knows
    crash(second)
    third = opened(tmp_path, **place, key=RIGHT)
    assert usage(third)["cost"] == 12
    third.close()


def test_nothing_is_claimed_of_shared_limits_while_spend_is_not_known(tmp_path: Path) -> None:
    opened(tmp_path, **with_key("modelmesh.sqlite.v1", RIGHT)).close()
    keeper = opened(tmp_path, **with_key("modelmesh.sqlite.v1", WRONG))
    answers: list[tuple[dict[str, Grant], bool]] = []
    keeper.divide([Claim("k", 100, 0, 0, 5)], lambda grants, connected: answers.append((grants, connected)), first=True)
    assert answers == [({"k": Grant(0)}, False)]
    keeper.close()


def test_an_export_changes_nothing_and_an_import_counts_nothing_twice(tmp_path: Path) -> None:
    first = opened(tmp_path, **with_key("modelmesh.sqlite.v1", RIGHT))
    journal = writer(first)
    spend(journal, 5)
    first.close()
    second = opened(tmp_path, **with_key("modelmesh.sqlite.v1", WRONG))
    assert second.load().unread
    for work in (second.export, lambda: second.import_({"version": 1, "tables": {}, "usage": {}})):
        with pytest.raises(ValueError, match="cannot be read"):
            work()
    second.prepare(settings_of(**with_key("modelmesh.sqlite.v1", RIGHT)))
    second.commit()
    exported = second.export()
    assert sum(row["cost"] for id, row in exported["usage"].items() if "\0pool\0" in id) == 5
    spend(writer(second), 7, 1)  # not folded yet
    second.import_(exported)
    assert second.take_late() is None
    assert usage(second)["cost"] == 5
    second.close()
