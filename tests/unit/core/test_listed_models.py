"""A list of models has only what can be, whatever its author put there."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshd.core.listed_models import LARGEST_COUNT, LONGEST_ID, MOST_MODELS, sound
from meshd.sdk.provider import ModelListing

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text(), max_size=3)
)
WORDS = st.one_of(ODD, st.lists(ODD, max_size=4).map(tuple))
LISTINGS = st.builds(
    ModelListing, id=ODD, capabilities=WORDS, context_window=ODD, max_output_tokens=ODD, features=WORDS, deprecated=ODD
)


@given(st.lists(st.one_of(LISTINGS, ODD), max_size=8))
def test_what_is_left_is_plain(listed: list[Any]) -> None:
    found = sound(listed)
    assert len({model.id for model in found}) == len(found)
    for model in found:
        assert isinstance(model.id, str)
        assert model.id.isprintable()
        assert 0 < len(model.id) <= LONGEST_ID
        for number in (model.context_window, model.max_output_tokens):
            assert number is None or (type(number) is int and 1 <= number <= LARGEST_COUNT)
        assert all(isinstance(word, str) and word.isprintable() for word in (*model.capabilities, *model.features))
        assert isinstance(model.deprecated, bool)


def test_a_list_has_an_end() -> None:
    assert len(sound(ModelListing(id=str(number)) for number in range(MOST_MODELS * 2))) == MOST_MODELS
    odd = [ModelListing(id=id) for id in ("", " ", "a\nb", "\x1b[2J", "x" * 600, "a\0b", "\u202egpt", "good")]
    assert [model.id for model in sound(odd)] == ["good"]
