"""More text of a choice that flows is noted in fewer steps, and comes to the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.openai.stream.ending import Ending
from meshd.formats.openai.wire import Nothing, read_event

deltas = st.fixed_dictionaries(
    {},
    optional={"content": st.sampled_from(["", "a"]), "reasoning": st.sampled_from(["", "t"]), "refusal": st.just("no")},
)
choices = st.fixed_dictionaries(
    {"index": st.integers(0, 1), "delta": deltas, "finish_reason": st.sampled_from([None, None, "stop", "length"])}
)
chunks = st.lists(choices, max_size=2).map(lambda made: json.dumps({"id": "c", "choices": made}).encode())


@given(st.lists(st.tuples(chunks, st.booleans()), max_size=12), st.integers(1, 2))
def test_the_short_way_is_the_long_way(stream: list[tuple[bytes, bool]], asked: int) -> None:
    short, long = Ending(asked), Ending(asked)
    for data, lost in stream:
        try:
            event, chunk = read_event(data, hide_usage=False)
        except Nothing:
            continue
        for each in (short, long):
            each.lost = each.lost or (lost and each.certain)
        long._flows = False
        assert short.note(chunk, event) == long.note(chunk, event)
        assert {**vars(short), "_flows": None} == {**vars(long), "_flows": None}
        assert short.is_regular(done=False) == long.is_regular(done=False)
