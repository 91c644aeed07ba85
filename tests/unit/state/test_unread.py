"""A start whose storage cannot be read yet: the router learns what earlier runs spent once it can, all of it once."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

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
    keeper = opened(tmp_path, connector="modelmesh.local-file.v1", settings={"path": "/proc/nowhere"})
    assert keeper.error
    assert keeper.load().unread == ""
