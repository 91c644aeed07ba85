"""The keeper: what survives a restart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshd.connectors.storage.open import open_storage
from meshd.spend.journal import JournalWriter, open_segment
from meshd.spend.recovered import COVERED, LOOK_BACK
from meshd.state import segments
from meshd.state.lock import StateLocked
from tests.support.keeping import ID, NOW, Clock, begin, crash, opened, settings_of, spend, usage, writer


def test_tables_and_spend_survive_a_stop(tmp_path: Path, connector: str) -> None:
    first = opened(tmp_path, connector=connector)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    journal = writer(first)
    spend(journal, 40)
    first.changed("member", "chat\0p/m", {"status": "standby"})
    first.changed("provider", "gone", {"a": 1})
    first.changed("provider", "gone", None)
    first.close()
    second = opened(tmp_path, connector=connector)
    restored = second.load()
    assert restored.tables["member"] == {"chat\0p/m": {"status": "standby"}}
    assert "gone" not in restored.tables.get("provider", {})
    assert usage(second) == {
        "requests": 1,
        "tokens_in": 10,
        "tokens_out": 5,
        "tokens_cached": 0,
        "cost": 40,
        "units": {},
    }
    assert not restored.begun
    second.close()


@pytest.mark.parametrize("pool", ["a/b", "chat", "\x1f", "\x1f0\x1f1"])
def test_a_members_spend_survives_a_stop_whatever_its_name(tmp_path: Path, connector: str, pool: str) -> None:
    first = opened(tmp_path, connector=connector)
    journal = writer(first)
    journal.begin(ID, NOW, "p", "p/m", pool, f"{pool}/app", 500, NOW + 600)
    journal.settle(ID, NOW, 10, 5, 0, 40, True)
    first.sync()
    before = first.load().tables["usage"]
    first.close()
    second = opened(tmp_path, connector=connector)
    assert second.load().tables["usage"] == before
    assert before[f"2025-10-09\0member\0{pool}\0p/m"]["cost"] == 40
    exported = second.export()
    assert second.import_(exported).tables["usage"] == before
    second.close()


def test_what_was_spent_today_is_the_configured_timezones(tmp_path: Path) -> None:
    keeper = opened(tmp_path, timezone="Pacific/Pago_Pago")  # 21:53 the day before
    journal = writer(keeper)
    for number, (day, cost) in enumerate([("2025-10-07", 1), ("2025-10-08", 40), ("2025-10-09", 3)]):
        journal.begin(number.to_bytes(16), NOW, "p", "p/m", "chat", "app", 500, NOW + 600, day=day)
        journal.settle(number.to_bytes(16), NOW, 10, 5, 0, cost, True)
    assert keeper.spend_today() == 40
    keeper.close()


@pytest.mark.parametrize("synced", [0, 1, 2])
def test_a_crash_counts_spend_once_wherever_the_last_sync_was(tmp_path: Path, connector: str, synced: int) -> None:
    first = opened(tmp_path, connector=connector)
    journal = writer(first)
    for number in range(3):
        spend(journal, 10, number)
        if number < synced:
            first.sync()
    left_open = begin(journal, 9)
    if synced == 2:
        first.sync()
    crash(first)
    second = opened(tmp_path, connector=connector)
    assert usage(second)["cost"] == 530
    assert usage(second)["requests"] == 4
    assert second.load().begun == {left_open}
    second.statistics_changed({COVERED: {"until": NOW, "since": NOW - 60, "seen": []}})
    second.sync()
    assert os.listdir(tmp_path / "state" / "journal") == []
    crash(second)
    third = opened(tmp_path, connector=connector)
    assert usage(third)["cost"] == 530
    assert third.load().begun == {left_open}
    third.close()


@pytest.mark.parametrize("policy", ["in-memory", "sync-on-boundary", "periodic", "immediate"])
def test_policies_decide_when_tables_are_written_and_never_spend(tmp_path: Path, policy: str) -> None:
    first = opened(tmp_path, sync_policy=policy)
    journal = writer(first)
    first.changed("model", "m", {"n": 1})
    spend(journal, 7)
    first.sync()
    crash(first)
    second = opened(tmp_path, sync_policy=policy)
    assert ("m" in second.load().tables.get("model", {})) == (policy in ("periodic", "immediate"))
    assert usage(second)["cost"] == 7
    second.changed("model", "m", {"n": 2})
    second.close()
    third = opened(tmp_path, sync_policy=policy)
    assert ("m" in third.load().tables.get("model", {})) == (policy != "in-memory")
    third.close()


@pytest.mark.parametrize("policy", ["in-memory", "sync-on-boundary", "periodic"])
def test_an_operators_decision_is_written_at_once(tmp_path: Path, policy: str) -> None:
    first = opened(tmp_path, sync_policy=policy)
    first.changed("model", "a", {"x": 1})
    first.changed("model", "m", {"deactivated": "why"}, durable=True)
    crash(first)
    second = opened(tmp_path)
    assert ("m" in second.load().tables.get("model", {})) == (policy != "in-memory")


def test_immediate_needs_no_sync(tmp_path: Path) -> None:
    first = opened(tmp_path, sync_policy="immediate")
    first.changed("model", "m", {"n": 1})
    crash(first)
    assert opened(tmp_path).load().tables["model"] == {"m": {"n": 1}}


def test_one_daemon_a_directory(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(StateLocked, match="another mesh of this process"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_a_segment_is_rotated_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_LIMIT", 100)
    keeper = opened(tmp_path)
    assert keeper.offer_segment() == ""
    first = keeper.open_journal()
    journal = JournalWriter(open_segment(first))
    assert keeper.offer_segment() == ""
    spend(journal, 1, 1)
    spend(journal, 2, 2)
    offered = keeper.offer_segment()
    assert offered == keeper.offer_segment()
    spend(journal, 4, 3)  # before the router heard
    journal.reopen(open_segment(offered), NOW)
    keeper.rotated("")  # a router that started again and opened the current one
    assert keeper.offer_segment() == offered
    keeper.rotated(first)
    spend(journal, 8, 4)
    keeper.sync()
    assert keeper.spend_today() == 15
    assert usage(keeper)["cost"] == 15
    both = {Path(first).name, Path(offered).name}
    assert set(os.listdir(tmp_path / "state" / "journal")) == both, "statistics may still lack its requests"
    keeper.statistics_changed({COVERED: {"until": NOW + LOOK_BACK, "since": NOW, "seen": []}})
    keeper.sync()
    assert os.listdir(tmp_path / "state" / "journal") == [Path(offered).name]
    keeper.close()


def test_a_segment_number_is_never_used_twice(tmp_path: Path) -> None:
    first = opened(tmp_path)
    journal = writer(first)
    spend(journal, 1)
    first.sync()
    first.close()
    second = opened(tmp_path)
    second.sync()
    crash(second)
    third = opened(tmp_path)
    assert third.open_journal().endswith("00000002.log")


def test_export_and_import(tmp_path: Path) -> None:
    first = opened(tmp_path / "one")
    spend(writer(first), 9)
    first.changed("manual", "m", {"status": "standby"})
    first.sync()
    exported = first.export()
    second = opened(tmp_path / "two")
    second.changed("manual", "other", {"status": "active"})
    restored = second.import_(exported)
    assert restored.tables["manual"] == {"m": {"status": "standby"}}
    second.close()
    third = opened(tmp_path / "two")
    assert third.load().tables["manual"] == {"m": {"status": "standby"}}
    assert usage(third)["cost"] == 9
    with pytest.raises(ValueError, match="not an export"):
        third.import_({"tables": {}, "version": 99})


def test_another_storage_at_a_reload_gets_everything(tmp_path: Path) -> None:
    keeper = opened(tmp_path)
    spend(writer(keeper), 9)
    keeper.changed("manual", "m", {"status": "standby"})
    keeper.sync()
    assert "no connector" not in keeper.prepare(settings_of(connector="modelmesh.local-file.v1"))
    keeper.commit()
    keeper.close()
    again = opened(tmp_path, connector="modelmesh.local-file.v1")
    assert usage(again)["cost"] == 9
    assert again.load().tables["manual"]


def test_statistics_are_written_through_and_not_mirrored(tmp_path: Path) -> None:
    keeper = opened(tmp_path)
    keeper.statistics_changed({"model\0m\0t": {"b": 1}})
    assert keeper.table("statistics") == {"model\0m\0t": {"b": 1}}
    keeper.sync()
    assert "statistics" not in keeper.load().tables
    assert keeper.table("statistics") == {"model\0m\0t": {"b": 1}}
    keeper.close()
    assert opened(tmp_path).table("statistics") == {"model\0m\0t": {"b": 1}}


def test_what_makes_no_sense_is_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keeper = opened(tmp_path)
    crash(keeper)
    storage = open_storage(keeper.settings.connector, keeper.settings.settings, keeper.directory)
    storage.save("journal", b"{nonsense")
    storage.save("table/model/m", b"[1]")
    storage.close()
    again = opened(tmp_path)
    assert "ignored" in caplog.text
    assert again.sync().ok
    assert segments.SEGMENT_LIMIT > 0


def test_an_answer_that_a_crash_may_have_lost_is_not_bought_again(tmp_path: Path) -> None:
    clock = Clock()
    first = opened(tmp_path, clock)
    journal = writer(first)
    spend(journal, 7, number=1)
    journal.settle(begin(journal, 2), NOW, 0, 0, 0, 0, False)  # it failed: another attempt may be made
    first.sync()  # folded: the crash comes after
    crash(first)
    clock.now = NOW + 5
    second = opened(tmp_path, clock)
    assert second.load().answered == {(1).to_bytes(16)}
    second.close()
    journal = writer(second := opened(tmp_path, clock))
    clock.now = NOW + 3600
    journal.settle(begin(journal, 3), NOW + 61, 0, 0, 0, 0, True)
    crash(second)  # however long ago that was, only what was answered shortly before it may be lost
    third = opened(tmp_path, clock)
    assert third.load().answered == {(3).to_bytes(16)}
    third.close()


KEY = {"key": "ab" * 32}
FORMS = [{}, {"compression": "zstd"}, {"format": "msgpack"}, KEY, {"format": "msgpack", **KEY}]


@pytest.mark.parametrize("later", FORMS, ids=str)
@pytest.mark.parametrize("earlier", FORMS, ids=str)
def test_state_survives_another_form_of_values(
    tmp_path: Path, connector: str, earlier: dict[str, str], later: dict[str, str]
) -> None:
    lacks_key = "key" in earlier and "key" not in later
    first = opened(tmp_path, connector=connector, **earlier)
    spend(writer(first), 40)
    first.changed("member", "chat\0p/m", {"status": "standby", "until": 1.5, "long": "x" * 500})
    first.close()
    second = opened(tmp_path, connector=connector, **later)
    if lacks_key:
        assert "is encrypted, and storage.encryption gives no key" in second.error
        second.close()
        second = opened(tmp_path, connector=connector, **earlier)
    assert second.error == ""
    assert second.load().tables["member"] == {"chat\0p/m": {"status": "standby", "until": 1.5, "long": "x" * 500}}
    assert usage(second)["cost"] == 40
    second.close()
