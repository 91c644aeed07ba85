"""What a request's `model` field stands for; prices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.prices import Pricing
from meshd.routing.table.policies import RetryPolicy
from meshd.routing.table.specs import PoolSpec, RoutingTable, UnknownModel
from tests.support.routing.routing_builders import CHAT, EMBEDDINGS, model, table

TEXT = "generation.text-generation"


def pool(name: str, capability: str = "", *members: str, **more: object) -> PoolSpec:
    return PoolSpec(name, capability, members, **more)  # type: ignore[arg-type]


def test_a_pools_name_wins_over_a_capability_and_a_model() -> None:
    made = table(
        ["chat-completion", "p.x"],
        [pool("wide", CHAT, "p.x"), pool("chat-completion", "", "chat-completion"), pool("p.x", TEXT, "p.x")],
    )
    assert (made.resolve("chat-completion").kind, made.resolve("chat-completion").pool.name) == (
        "pool",
        "chat-completion",
    )
    assert made.resolve("p.x").kind == "pool"


def test_a_capability_wins_over_a_model_of_that_name() -> None:
    made = table([model("chat-completion"), "p.x"], [pool("wide", CHAT, "p.x")])
    target = made.resolve("chat-completion")
    assert (target.kind, target.pool.name) == ("capability", "wide")


@pytest.mark.parametrize("name", [CHAT, "chat-completion"])
def test_a_capability_is_served_by_the_most_specific_pool_above_it(name: str) -> None:
    made = table(["p.x"], [pool("everything", "generation", "p.x"), pool("text", TEXT, "p.x")])
    assert made.resolve(name).pool.name == "text"


def test_of_two_pools_for_one_capability_the_first_serves_it() -> None:
    made = table(["p.x"], [pool("first", CHAT, "p.x"), pool("second", CHAT, "p.x")])
    assert made.resolve("chat-completion").pool.name == "first"


def test_a_capability_without_a_pool_may_still_be_a_models_name() -> None:
    made = table([model("ocr")], [pool("text", TEXT, "ocr")])
    assert made.resolve("ocr").kind == "model"


@pytest.mark.parametrize("name", ["openai.gpt-4o", "gpt-4o"])
def test_a_concrete_model_is_known_by_its_id_and_by_its_providers(name: str) -> None:
    made = table(["openai.gpt-4o"], [pool("text", TEXT, "openai.gpt-4o")])
    target = made.resolve(name)
    assert target.kind == "model"
    assert target.pool.members == ("openai.gpt-4o",)


def test_a_concrete_model_is_treated_by_the_rules_of_its_first_pool() -> None:
    retry = RetryPolicy(max_attempts=7)
    made = table(["a.x", "b.y"], [pool("other", "", "b.y"), pool("its", "", "a.x", retry=retry), pool("z", "", "a.x")])
    assert made.resolve("x").pool.retry is retry
    assert made.pools_of("a.x") == ["its", "z"]


def test_a_model_of_no_pool_and_no_capability_can_be_asked_by_name() -> None:
    made = table([model("a.x", capabilities=())])
    assert made.resolve("a.x").pool == PoolSpec("a.x", "", ("a.x",))


def test_an_id_that_several_providers_know_names_none_of_them() -> None:
    made = table(["a.gpt", "b.gpt"])
    with pytest.raises(UnknownModel) as caught:
        made.resolve("gpt")
    assert caught.value.nearest == ["a.gpt", "b.gpt"], "the ids it may be meant by, and not itself"


def test_an_unknown_name_comes_with_the_nearest() -> None:
    made = table(["openai.gpt-4o", "local.smollm2"], [pool("writers", CHAT, "openai.gpt-4o")])
    with pytest.raises(UnknownModel) as caught:
        made.resolve("Writer")
    assert caught.value.nearest[0] == "writers"
    assert made.nearest("gpt-4") == ["gpt-4o", "openai.gpt-4o"]
    assert made.nearest("chat-completions") == ["chat-completion"]
    assert made.nearest("zzzzzzzz") == []


def test_a_capability_that_a_wider_pool_serves_is_among_the_nearest() -> None:
    made = table(["local.smollm2"], [pool("text-generation", TEXT, "local.smollm2")])
    assert made.nearest("chat-completio")[0] == "chat-completion"
    assert "ocr" not in made.nearest("ocrs")


def test_an_answer_is_kept_and_a_misspelling_remembered_within_bounds() -> None:
    made = table(["openai.gpt-4o"])
    assert made.resolve("gpt-4o") is made.resolve("gpt-4o")
    for number in range(3000):
        made.nearest(f"gpt-{number}")
    assert len(made.misspelt) <= 1000


def test_an_endless_name_is_neither_compared_nor_repeated() -> None:
    made = table(["openai.gpt-4o"])
    with pytest.raises(UnknownModel) as caught:
        made.resolve("gpt-4o" * 100_000)
    assert caught.value.nearest == []
    assert len(caught.value.name) < 300


def test_in_a_large_table_the_nearest_are_among_those_that_begin_alike() -> None:
    made = table([f"p.gpt-{number}" for number in range(3000)] + ["q.mistral-small"])
    assert "q.mistral-small" in made.nearest("q.mistral-smal")
    assert made.nearest("p.gpt-2999x")[0] == "p.gpt-2999"


def test_an_empty_table_knows_nothing() -> None:
    made = RoutingTable.empty()
    with pytest.raises(UnknownModel) as caught:
        made.resolve("chat")
    assert caught.value.nearest == []


def test_specific_pools_of_different_branches_do_not_mix() -> None:
    made = table([model("p.e", capabilities=(EMBEDDINGS,))], [pool("embeddings", "representation.embeddings", "p.e")])
    assert made.resolve("text-embeddings").pool.name == "embeddings"
    with pytest.raises(UnknownModel):
        made.resolve("chat-completion")


# -- prices --------------------------------------------------------------------------------------------


def test_a_cost_is_rounded_up() -> None:
    assert Pricing(input_per_1m=1).cost(1, 0) == 1
    assert Pricing(input_per_1m=150_000_000, output_per_1m=600_000_000).cost(1000, 100) == 210_000
    assert Pricing().cost(10**9, 10**9) == 0


def test_cached_tokens_have_their_own_price_or_that_of_the_input() -> None:
    assert Pricing(1_000_000, cached_input_per_1m=0).cost(10, 0, 4) == 6
    assert Pricing(1_000_000).cost(10, 0, 4) == 10
    assert Pricing(1_000_000, cached_input_per_1m=500_000).cost(10, 0, 10) == 5


def test_a_price_of_the_request_is_added_whole() -> None:
    assert Pricing(per_request=7).cost(0, 0) == 7


@given(*[some.integers(0, 10**15)] * 3, *[some.integers(0, 10**9)] * 3)
def test_a_sum_of_costs_never_undercounts(
    fresh: int, output: int, cached: int, tokens: int, written: int, repeated: int
) -> None:
    repeated = min(repeated, tokens)
    exact = (tokens - repeated) * fresh + repeated * cached + written * output
    cost = Pricing(fresh, output, cached).cost(tokens, written, repeated)
    assert isinstance(cost, int)
    assert exact <= cost * 1_000_000 < exact + 1_000_000
