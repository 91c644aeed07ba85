"""The files of results are the record of what is answered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from meshd.gateway.batches.records import BatchRecord
from meshd.gateway.batches.results import Results
from modelmesh.errors import QueueFullError, RoutingError

RECORD = BatchRecord(
    "batch_" + "ab" * 12, "cd" * 12, "uid 1", "app", {}, "/v1/chat/completions", "file-i", "24h", 0, 9, "out", "err"
)


def opened(path: Path) -> Results:
    results = Results(RECORD, path / "out", path / "err")
    results.open()
    return results


def test_a_later_life_knows_what_is_answered(tmp_path: Path) -> None:
    results = opened(tmp_path)
    results.append(7, results.answer(7, "seven", "r", b'{"a":\n 1}'), ok=True)
    results.append(70_000, results.error(70_000, "other", "r", QueueFullError("full")), ok=False)
    results.append(7, b"twice", ok=True)
    results.close()
    again = opened(tmp_path)
    assert (again.completed, again.failed, again.size) == (1, 1, results.size)
    assert [number for number in range(70_010) if again.is_done(number)] == [7, 70_000]
    again.close()
    row = json.loads((tmp_path / "out").read_text())
    assert (row["custom_id"], row["response"]["body"], row["error"]) == ("seven", {"a": 1}, None)


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_result_is_cut_off(tmp_path: Path, cut: int) -> None:
    results = opened(tmp_path)
    for number in (1, 2):
        results.append(number, results.answer(number, "id", "r", b"{}"), ok=True)
    results.close()
    path = tmp_path / "out"
    os.truncate(path, path.stat().st_size - cut)
    again = opened(tmp_path)
    assert (again.completed, again.is_done(1), again.is_done(2)) == (1, True, False)
    again.append(2, again.answer(2, "id", "r", b"{}"), ok=True)
    again.close()
    assert [json.loads(row)["id"][-8:] for row in path.read_text().splitlines()] == ["00000001", "00000002"]


def test_what_may_be_billed_is_told_as_such(tmp_path: Path) -> None:
    results = opened(tmp_path)
    cut_off = results.error(1, "id", "r", RoutingError("cut off", code="request_interrupted"))
    results.close()
    assert json.loads(cut_off) == json.loads(results.interrupted(1, "id"))


def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    results = opened(tmp_path)
    results.close()
    with pytest.raises(OSError, match="ended"):
        results.append(1, b"{}\n", ok=True)


def test_ids_of_requests_lead_back_to_lines() -> None:
    assert RECORD.line_of(RECORD.request_id(12_345)) == 12_345
    assert RECORD.line_of(bytes(16)) is None
