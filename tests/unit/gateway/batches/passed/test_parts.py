"""A batch in as many parts as its provider's limits need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshd.formats.batches.anthropic import AnthropicBatches
from meshd.gateway.batches.passed.parts import MOST, Limits, Parts
from meshd.sdk.calls.passing import Written
from meshd.sdk.provider import ProviderFailure

T = TypeVar("T")
API = AnthropicBatches()


async def at_once(work: Callable[[], T]) -> T:
    return work()


@pytest.mark.parametrize("items", [None, 1, 3])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=30), payload=st.none() | st.integers(100, 900))
async def test_each_request_is_in_one_part_within_the_limits(
    tmp_path: Path, sizes: list[int], items: int | None, payload: int | None
) -> None:
    parts = Parts(tmp_path / "scratch", API, Limits(items, payload), at_once)
    await parts.open()
    taken = []
    for number, size in enumerate(sizes, 1):
        if await parts.add(number, f"n-{number:08x}", Written("messages", b'"%s"' % (b"x" * size))):
            taken.append(number)
    await parts.close()
    sent: list[str] = []
    for planned in parts.planned:
        file = await parts.file(planned)
        said = b""
        while data := await file.read():
            said += data
        await file.close()
        assert len(said) == file.length
        assert payload is None or len(said) <= payload
        assert items is None or planned.part.count <= items
        assert said.startswith(API.begin)
        assert said.endswith(API.end)
        assert said.count(b'"custom_id"') == planned.part.count
        sent += [each[:10].decode() for each in said.split(b'"custom_id":"')[1:]]
    assert sent == [f"n-{number:08x}" for number in taken]
    ranges = [(planned.part.first, planned.part.last) for planned in parts.planned]
    assert all(not first <= number <= last for first, last in ranges for number in set(range(1, 31)) - {*taken})
    assert payload is not None or len(taken) == len(sizes)
    await parts.remove()
    assert not (tmp_path / "scratch").exists()


async def test_requests_for_several_paths_are_no_batch(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "scratch", API, Limits(), at_once)
    await parts.open()
    await parts.add(1, "n-1", Written("messages", b"{}"))
    with pytest.raises(ProviderFailure):
        await parts.add(2, "n-2", Written("completions", b"{}"))
    await parts.remove()


async def test_a_batch_of_very_many_parts_is_not_passed_on(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "scratch", API, Limits(items=1), at_once)
    await parts.open()
    for number in range(MOST):
        await parts.add(number, f"n-{number}", Written("messages", b"{}"))
    with pytest.raises(ProviderFailure):
        await parts.add(MOST, f"n-{MOST}", Written("messages", b"{}"))
    await parts.remove()
