"""The journal's records survive what a crash and a full disk do to a file."""

from __future__ import annotations

import base64
import os
import resource
import signal
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.spend import journal
from meshd.spend.journal import JournalWriter, create_segment, open_segment, read_pieces, read_segment
from meshd.spend.records import Begin, Settle

ID = bytes(range(16))


def begin(writer: JournalWriter, request: bytes = ID, at: float = 1000.0) -> None:
    writer.begin(request, at, "openai", "openai/gpt", "chat", "app", 500, at + 600)


def settle(writer: JournalWriter, request: bytes = ID, at: float = 1001.0) -> None:
    writer.settle(request, at, 10, 20, 5, 300, True)


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "00000001.log"
    create_segment(path)
    return path


def test_what_is_written_is_read_back(segment: Path) -> None:
    writer = JournalWriter(open_segment(segment))
    begin(writer)
    settle(writer)
    records, end = read_segment(segment)
    assert records == [
        Begin(ID, 1000.0, "openai", "openai/gpt", "chat", "app", 500, 1600.0),
        Settle(ID, 1001.0, 10, 20, 5, 300, True),
    ]
    assert end == segment.stat().st_size
    begin(writer)
    assert len(read_segment(segment, end)[0]) == 1


def test_what_later_versions_added_is_written_and_read_back(segment: Path) -> None:
    writer = JournalWriter(open_segment(segment))
    writer.begin(ID, 1000.0, "p", "m", "chat", "app", 500, 1600.0, 2, "2026-11-23", 70, 30)
    writer.begin(ID, 1000.0, "p", "m", "chat", "app", 500, 1600.0, 3, "2026-11-23", 70, 30, units={"searches": 2})
    writer.settle(ID, 1001.0, 0, 0, 0, 0, False, 2, sent=False)
    writer.settle(ID, 1002.0, 9, 0, 0, 70, True, 3, units={"searches": 1})
    assert read_segment(segment)[0] == [
        Begin(ID, 1000.0, "p", "m", "chat", "app", 500, 1600.0, 2, "2026-11-23", 70, 30),
        Begin(ID, 1000.0, "p", "m", "chat", "app", 500, 1600.0, 3, "2026-11-23", 70, 30, {"searches": 2}),
        Settle(ID, 1001.0, 0, 0, 0, 0, False, 2, False),
        Settle(ID, 1002.0, 9, 0, 0, 70, True, 3, True, {"searches": 1}),
    ]


def test_a_segment_without_units_is_read_and_written_alike(segment: Path) -> None:
    before = base64.b64decode(
        "TUVTSEpOTDGlTWAAyUVaKp0BxBAAAQIDBAUGBwgJCgsMDQ4Py0Haw1XMAAAApm9wZW5habFvcGVu"
        "YWkuZ3B0LTUtbWluaaRjaGF0pG1haWzOATvbYMtB2sNV2wAAAAGqMjAyNi0xMS0zMM0CvM0nEKVN"
        "LADqcyuhmgLEEAABAgMEBQYHCAkKCwwNDg/LQdrDVcxgAADNAmQozQIAzgADjijDAcM="
    )
    begun = (ID, 1796036400.0, "openai", "openai.gpt-5-mini", "chat", "mail", 20_700_000, 1796036460.0, 1)
    writer = JournalWriter(open_segment(segment))
    writer.begin(*begun, "2026-11-30", 700, 10_000)
    writer.settle(ID, 1796036401.5, 612, 40, 512, 233_000, True, 1, True)
    assert segment.read_bytes() == before
    assert read_segment(segment)[0] == [
        Begin(*begun, "2026-11-30", 700, 10_000),
        Settle(ID, 1796036401.5, 612, 40, 512, 233_000, True, 1, True),
    ]


def test_a_segment_of_an_earlier_version_is_read(segment: Path) -> None:
    """Records that end with the number of the attempt."""
    written = [
        [1, ID, 1000.0, "p", "m", "chat", "app", 500, 1600.0, 1],
        [2, ID, 1001.0, 10, 20, 5, 300, True, 1],
    ]
    with open(segment, "ab") as file:
        for record in written:
            payload = msgspec.msgpack.encode(record)
            file.write(journal.HEADER.pack(journal.MARKER, len(payload), zlib.crc32(payload)) + payload)
    begin, settle = read_segment(segment)[0]
    assert isinstance(begin, Begin)
    assert isinstance(settle, Settle)
    assert (begin.attempt, begin.day, begin.tokens_in, begin.tokens_out) == (1, "", 0, 0)
    assert (settle.attempt, settle.sent) == (1, True)


@given(cut=st.integers(0, 400), most=st.integers(1, 6))
def test_a_torn_end_is_cut_at_the_last_whole_record(
    tmp_path_factory: pytest.TempPathFactory, cut: int, most: int
) -> None:
    segment = tmp_path_factory.mktemp("journal") / "1.log"
    create_segment(segment)
    writer = JournalWriter(open_segment(segment))
    ends = [segment.stat().st_size]
    for _ in range(4):
        begin(writer)
        ends.append(segment.stat().st_size)
    writer.close()
    os.truncate(segment, min(cut, ends[-1]))
    records, end = read_segment(segment)
    assert len(records) == max(0, sum(1 for each in ends if each <= cut) - 1)
    assert end in (0, *ends)
    pieces = list(read_pieces(segment, 0, most))
    assert [record for piece, _ in pieces for record in piece] == records
    assert pieces[-1][1] == end
    assert all(len(piece) == most and read_segment(segment, after)[1] == end for piece, after in pieces[:-1])


def test_garbage_between_records_is_passed_over(segment: Path) -> None:
    writer = JournalWriter(open_segment(segment))
    begin(writer)
    with open(segment, "ab") as file:
        file.write(journal.MARKER + b"\xff\x00torn")
    settle(writer)
    records, end = read_segment(segment)
    assert [type(record) for record in records] == [Begin, Settle]
    assert end == segment.stat().st_size
    assert [len(piece) for piece, _ in read_pieces(segment, 0, 1)] == [1, 1, 0]


def test_a_changed_byte_is_noticed(segment: Path) -> None:
    writer = JournalWriter(open_segment(segment))
    begin(writer)
    data = bytearray(segment.read_bytes())
    data[-5] ^= 1
    segment.write_bytes(data)
    assert read_segment(segment)[0] == []


def test_a_refused_write_is_kept_and_written_when_the_disk_recovers(segment: Path) -> None:
    errors: list[str] = []
    readonly = os.open(segment, os.O_RDONLY)
    writer = JournalWriter(readonly, errors.append)
    begin(writer)
    settle(writer)
    assert len(errors) == 1
    assert writer.error
    assert writer.waiting > 0
    writer.reopen(open_segment(segment), 1002.0)
    assert writer.error is None
    assert writer.waiting == 0
    assert len(read_segment(segment)[0]) == 2


@given(st.lists(st.sampled_from(["begin", "settle", "turn", "reopen"]), max_size=30), st.booleans())
def test_ends_are_written_with_the_next_beginning_or_at_the_end_of_the_turn(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], refused: bool
) -> None:
    segment = tmp_path_factory.mktemp("journal") / "1.log"
    create_segment(segment)
    writer = JournalWriter(os.open("/dev/full", os.O_WRONLY) if refused else open_segment(segment))
    turn: list[Callable[[], None]] = []
    writer.later = turn.append
    expected: list[type] = []
    for step in [*steps, "reopen"]:
        match step:
            case "begin":
                begin(writer)
                expected.append(Begin)
            case "settle":
                settle(writer)
                expected.append(Settle)
            case "turn":
                for work in turn:
                    work()
                turn.clear()
            case "reopen":
                writer.reopen(open_segment(segment), 2000.0)
                refused = False
        if step != "settle" and not refused:
            assert [type(record) for record in read_segment(segment)[0]] == expected
    writer.close()
    assert writer.dropped == 0


def test_no_segment_at_all_never_raises() -> None:
    writer = JournalWriter()
    begin(writer)
    settle(writer)
    assert writer.error


def test_a_later_record_tries_again(segment: Path) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    writer = JournalWriter(fd)
    begin(writer, at=1000.0)
    recovered = open_segment(segment)
    os.dup2(recovered, fd)  # the disk recovers under it
    os.close(recovered)
    settle(writer, at=1000.5)
    assert writer.error
    settle(writer, at=1001.5)
    assert writer.error is None
    assert len(read_segment(segment)[0]) == 3


def test_a_backlog_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BACKLOG_LIMIT", 200)
    writer = JournalWriter(-1)
    for _ in range(10):
        begin(writer)
    assert writer.waiting <= 200
    assert writer.dropped == 8


def test_a_write_cut_short_by_a_full_disk_is_repeated_whole(segment: Path) -> None:
    """RLIMIT_FSIZE cuts a write short exactly as a full disk does."""
    writer = JournalWriter(open_segment(segment))
    begin(writer)
    size = segment.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
        settle(writer)
        assert writer.error
        assert segment.stat().st_size == size + 20
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    writer.retry(2000.0)
    assert writer.error is None
    assert [type(record) for record in read_segment(segment)[0]] == [Begin, Settle]
