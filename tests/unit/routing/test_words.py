"""What is said of a cause, to operators and to everybody else."""

from __future__ import annotations

import pytest

from meshd.core.events.cause import Cause, Why
from meshd.routing.words import without_words


@pytest.mark.parametrize("cause", Cause)
def test_a_reason_without_the_providers_words(cause: Cause) -> None:
    why = Why(cause, said="the prompt of ann", count=3, of=4, provider="p", behind=Why(Cause.FAILURES, said="of ann"))
    assert ("of ann" in without_words(why)) == (cause is Cause.OPERATOR)  # an operator's words are for everybody
    assert without_words(why)
