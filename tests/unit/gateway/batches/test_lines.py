"""Lines are read one at a time, whatever is between them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshd.gateway.batches.lines import LineReader, Validation


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60).filter(lambda data: b"\n" not in data), max_size=8), st.booleans())
def test_each_line_is_found_where_it_is(tmp_path: Path, lines: list[bytes], ended: bool) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines) + (b"\n" if ended else b""))
    reader = LineReader(path, 40)
    found = []
    while (line := reader.next()) is not None:
        found.append((line.number, line.data))
        if len(line.data) <= 40:
            assert reader.again(line) == line.data
    reader.close()
    wanted = [(number, line) for number, line in enumerate(lines, 1) if line[:41].strip()]
    assert [number for number, _ in found] == [number for number, _ in wanted]
    assert all(data == line[:41].strip() for (_, data), (_, line) in zip(found, wanted, strict=True))


def test_limits_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    good = b'{"custom_id":"%d","url":"/v1/e","body":{"model":"m"}}\n'
    path.write_bytes(good % 1 + b"x" * 300 + b"\n" + good % 2)
    checks = Validation(path, "/v1/e", 100, 2)
    assert not checks.step()
    checks.close()
    assert [(fault.code, fault.line) for fault in checks.faults] == [("line_too_long", 2), ("too_many_tasks", None)]
