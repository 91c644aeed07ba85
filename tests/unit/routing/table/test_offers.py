"""What an app can rely on: the smallest limits of the models that it may get."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from meshd.routing.table.offers import offer_of
from meshd.routing.table.specs import ANY_APP, AppSpec, PoolSpec, ProviderSpec
from tests.support.routing.routing_builders import CHAT, EMBEDDINGS, model, table

LARGE = model("p.large", context_window=200_000, max_output_tokens=64_000, features={"vision": True, "reasoning": True})
SMALL = model("q.small", context_window=32_000, max_output_tokens=8_000, features={"vision": True, "reasoning": False})
UNKNOWN = model("r.new", context_window=None, max_output_tokens=None, features=None)
POOL = PoolSpec("chat", CHAT, ("p.large", "q.small", "r.new"), fallback_pools=("tiny",))
TINY = PoolSpec("tiny", CHAT, ("s.tiny",))


def offer(app: AppSpec = ANY_APP, pool: PoolSpec = POOL, **disabled: str):
    models = [LARGE, SMALL, UNKNOWN, model("s.tiny", context_window=4_000)]
    providers = [ProviderSpec(name, "x", disabled=why) for name, why in disabled.items()]
    return offer_of(pool, app, table(models, [POOL, TINY], providers=providers))


def test_the_smallest_known_limits_count_and_features_that_all_declare() -> None:
    assert offer()[1:4] == (32_000, 8_000, frozenset())
    both = offer(pool=PoolSpec("both", CHAT, ("p.large", "q.small")))
    assert both == ((CHAT,), 32_000, 8_000, frozenset({"vision"}), (200_000, 64_000))


def test_long_prompts_have_limits_of_their_own_where_some_models_take_none() -> None:
    assert offer().long == (200_000, 64_000), "an unknown window may be long"
    assert offer(pool=PoolSpec("large", CHAT, ("p.large",))).long is None
    assert offer(pool=PoolSpec("small", CHAT, ("q.small",))).long is None


def test_models_that_cannot_serve_do_not_count() -> None:
    assert offer(q="no key")[1:3] == (200_000, 64_000)
    assert offer(AppSpec("mail", models=frozenset({"p.large"})))[1:3] == (200_000, 64_000)
    assert offer(p="no key", q="no key")[1:3] == (None, None)
    assert offer(p="no key", q="no key", r="no key") == ((), None, None, frozenset(), None)


def test_a_model_without_tools_does_not_shrink_what_agents_are_offered() -> None:
    able = model("p.able", context_window=200_000, max_output_tokens=64_000, features={"tool_calling": True})
    plain = model("q.plain", context_window=4_000, max_output_tokens=4_000, features={"tool_calling": False})
    mixed, alone = PoolSpec("mixed", CHAT, ("p.able", "q.plain")), PoolSpec("alone", CHAT, ("q.plain",))
    made = table([able, plain], [mixed, alone])
    assert offer_of(mixed, ANY_APP, made)[1:4] == (200_000, 64_000, frozenset({"tool_calling"}))
    assert offer_of(alone, ANY_APP, made)[1:4] == (4_000, 4_000, frozenset())


def test_a_pool_of_several_kinds_has_all_their_capabilities() -> None:
    pool = PoolSpec("all", "", ("p.large", "p.e"))
    made = table([LARGE, model("p.e", capabilities=(EMBEDDINGS, CHAT))], [pool])
    assert offer_of(pool, ANY_APP, made).capabilities == (CHAT, EMBEDDINGS)


_LIMIT = some.none() | some.integers(1, 10**6)


@given(some.lists(some.tuples(_LIMIT, _LIMIT), min_size=1, max_size=5))
def test_no_model_has_less_than_is_offered(limits: list[tuple[int | None, int | None]]) -> None:
    models = [
        model(f"p.m{at}", context_window=window, max_output_tokens=output) for at, (window, output) in enumerate(limits)
    ]
    pool = PoolSpec("chat", CHAT, tuple(each.id for each in models))
    found = offer_of(pool, ANY_APP, table(models, [pool]))
    windows = [window for window, _ in limits if window is not None]
    outputs = [output for _, output in limits if output is not None]
    assert found.context_window == (min(windows) if windows else None)
    assert (found.max_output_tokens is None) == (not outputs)
    if found.max_output_tokens is not None:
        assert found.max_output_tokens <= min([*outputs, *windows])
