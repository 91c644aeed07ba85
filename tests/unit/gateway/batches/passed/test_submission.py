"""When a batch at its provider is looked at, and when it is given up: in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshd.formats.batches.protocol import Remote
from meshd.gateway.batches.passed.submission import Gone, Submission
from meshd.gateway.batches.records import Part
from tests.support.gateway.virtual_world import START, in_virtual_time


class Api:
    """Batches that end after so many looks. looks: seconds after the begin."""

    begin = between = end = b""
    most = (None, None)
    named = True

    def __init__(self, ends_after: int) -> None:
        self.looks: list[float] = []
        self.cancelled = False
        self._ends_after = ends_after

    async def look(self, send: Any, id: str) -> Remote:
        self.looks.append(asyncio.get_running_loop().time() - START)
        return Remote(id, len(self.looks) > self._ends_after, done=len(self.looks))

    async def cancel(self, send: Any, id: str) -> None:
        self.cancelled = True

    async def nothing(self, *_: Any, **__: Any) -> Any: ...

    submit = find = nothing

    def line(self, id: str, path: str, body: bytes) -> bytes:
        return body

    def result(self, line: bytes) -> None: ...


def run(api: Api, polling: float | None, *, stopped: bool = False) -> None:
    seen: list[int] = []

    async def work() -> None:
        stop = asyncio.Event()
        if stopped:
            stop.set()
        submission = Submission(
            api, "n", Part(1, 1, since=1.0, id="there"), send=api.nothing, note=api.nothing, take=api.nothing,
            seen=seen.append, stop=stop, polling=lambda: polling, batch="b",
        )  # fmt: skip
        await submission.run("", None)

    in_virtual_time(work)
    assert seen == list(range(1, len(api.looks) + 1))


@pytest.mark.parametrize(
    ("polling", "looks"),
    [
        (None, [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 123.5, 183.5]),
        (300.0, [300.0 * number for number in range(10)]),
        (0.0, [0.5 * number for number in range(10)]),
    ],
)
def test_rarer_each_time_or_as_often_as_configured(polling: float | None, looks: list[float]) -> None:
    api = Api(ends_after=9)
    run(api, polling)
    assert api.looks == pytest.approx(looks)


def test_what_does_not_end_when_it_is_cancelled_is_given_up_after_ten_minutes() -> None:
    api = Api(ends_after=10**6)
    with pytest.raises(Gone):
        run(api, 3600.0, stopped=True)
    assert api.cancelled
    assert 600 <= api.looks[-1] <= 720
