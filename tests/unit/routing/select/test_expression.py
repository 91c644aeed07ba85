"""`select`: what its language says of a model, what it refuses, and that nothing else can be said in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from meshd.config.schema.routing.models import FeaturesConfig
from meshd.core.prices import Pricing
from meshd.routing.rates.rates import Headroom, Rates
from meshd.routing.request.question import Question
from meshd.routing.select.attributes import ATTRIBUTES, FEATURES, Live
from meshd.routing.select.expression import DEEPEST, LONGEST, Selection, SelectionError, compile_selection
from meshd.routing.table.specs import ModelSpec
from tests.support.routing.routing_builders import CHAT_NEEDS, EMBEDDINGS, NOW, Mesh, mesh, model

MINI = model(
    "house.gpt-mini",
    features={"tool_calling": True, "vision": False},
    context_window=128_000,
    languages=("en", "de"),
    weight=2.0,
    pricing=Pricing(input_per_1m=150_000_000, output_per_1m=600_000_000),
    vocabulary="o200k_base",
    batch=True,
)
UNKNOWN = model("p.m", features=None, priced=False, capabilities=(EMBEDDINGS,))


def score(text: str, spec: ModelSpec = MINI) -> float | None:
    return compile_selection(text).score(spec)


# -- what a model is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'id == "house.gpt-mini"',
        'provider != "other" and model == "gpt-mini"',
        'provider in ["house", "other"]',
        'provider not in ("a",) and provider in {"house"}',
        '"mini" in id and not "max" in id',
        'startswith(id, "house.") and endswith(id, "mini")',
        'matches(id, "house.gpt-*") and not matches(id, "gpt-*")',
        '"chat-completion" in capabilities',
        '"generation.text-generation" in capabilities and "text-generation" in capabilities',
        '"text-embeddings" not in capabilities',
        '"de" in languages and "fr" not in constraints.supported_languages',
        "features.tool_calling and not features.vision and not features.reasoning",
        "features.tool_calling == true and features.vision == False",
        "context_window >= 100000 and constraints.context_window < 1e6",
        "1000 < context_window <= 128000",
        "weight == 2 or weight in [3, 4]",
        "weight in [1, 2]",
        "delivery.synchronous and delivery.streaming and delivery.batch",
        "pricing.input_per_1m < 0.2 and pricing.output_per_1m == 0.6",
        "pricing.cached_input_per_1m == pricing.input_per_1m",
        "pricing.input_per_1m + 3 * pricing.output_per_1m - 1.95 < 0.000001",
        'vocabulary == "o200k_base" and priced',
        "max(1, 2, 3) == 3 and min(weight, 1) == 1 and abs(-2) == 2 and +2 == 2",
        "known(context_window) and known(vocabulary) and not known(max_images)",
        "default(max_images, 7) == 7 and default(context_window, 1) == 128000",
        'default(vocabulary, "none") == "o200k_base"',
        '(id if features.vision else provider) == "house"',
        "true and not false",
        "  features.tool_calling\n  and weight > 1\n",
        "features.tool_calling + features.vision == 1",
        "1 / 0 == 1 or weight / 2 == 1",
    ],
)
def test_what_holds_of_a_model(text: str) -> None:
    assert score(text) == 1.0
    assert score(f"not ({text})") is None


@pytest.mark.parametrize(
    "text",
    [
        "max_images > 0",
        "max_images < 9",
        "max_images == 0",
        "max_images != 0",
        "max_images not in [3]",
        "max_images * 2 >= 0",
        "1 / 0 == 1",
        "max(max_images, 1) > 0",
        "max_images in [3]",
        "latency.p50 < 100",
        "expected_cost < 1",
        "error_rate == 0",
        "headroom >= 0",
        "0 < max_images < 9 or false",
    ],
)
def test_a_comparison_with_something_unknown_is_false(text: str) -> None:
    assert score(text) is None


def test_what_discovery_does_not_know_is_not_there() -> None:
    assert score("features.vision or pricing.input_per_1m < 1 or priced or known(vocabulary)", UNKNOWN) is None
    assert score('default(vocabulary, "none") == "none"', UNKNOWN) == 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("weight", 2.0),
        ("-pricing.input_per_1m", -0.15),
        ("features.tool_calling and context_window / 1000", 128.0),
        ("features.vision and context_window", None),
        ("max_images", None),
        ("-max_images", None),
        ("weight if features.vision else -weight", -2.0),
        ("2 * features.tool_calling + features.vision", 2.0),
        ("1e308 * 10", float("inf")),
        ("1e308 * 10 - 1e308 * 10", None),
        ("7", 7.0),
    ],
)
def test_a_number_is_a_score(text: str, value: float | None) -> None:
    assert score(text) == value
    assert compile_selection(text).scores


def test_a_selection_is_its_text() -> None:
    one, same, other = (compile_selection(text) for text in ("weight", " weight ", "-weight"))
    assert one == same != other
    assert hash(one) == hash(same)
    assert one != "weight"
    assert repr(one) == "Selection('weight')"


def test_the_features_are_those_of_the_configuration() -> None:
    assert set(FEATURES) == set(FeaturesConfig.model_fields)


# -- how it does ---------------------------------------------------------------------------------------


class Room(Rates):
    def headroom(self, question: Question, model: ModelSpec) -> Headroom:
        return Headroom(0.25)


def seen() -> Mesh:
    made = mesh(model("p.a", pricing=Pricing(per_request=2_000_000_000)), "p.b")
    made.state.rates = Room()
    known = made.state.model("p.a")
    for seconds in (1.0, 2.0, 9.0):
        known.total.add(seconds)
        known.first_token.add(seconds / 10)
    known.requests, known.in_flight, known.cost = 7, 2, 3_000_000_000
    member = made.state.member("chat", "p.a")
    member.failures = 2
    for ok in (True, True, True, False):
        member.outcomes.add(ok, NOW, 60.0)
        member.outcomes.add(ok, NOW, 60.0)
    return made


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("latency.p50", 2.0),
        ("latency.p95", 9.0),
        ("latency.average", 4.0),
        ("latency.recent", 1.0 + 1 / 8 + (9.0 - 1.125) / 8),
        ("ttft.p50", 0.2),
        ("requests", 7.0),
        ("in_flight", 2.0),
        ("failures", 2.0),
        ("error_rate", 0.25),
        ("cost", 3.0),
        ("expected_cost", 2.0),
        ("headroom", 0.25),
    ],
)
@pytest.mark.interpreted
def test_what_changes_with_every_request(text: str, value: float) -> None:
    made = seen()
    selection = compile_selection(text)
    assert selection.live
    assert selection.score(made.table.models["p.a"], Live(made.question(), made.state)) == pytest.approx(value)


def test_of_a_model_that_was_never_asked_the_counts_are_none() -> None:
    made = mesh("p.a")
    live, spec = Live(made.question(), made.state), made.table.models["p.a"]
    assert compile_selection("requests + in_flight + failures + cost").score(spec, live) == 0.0
    for name in ("latency.p50", "ttft.p95", "latency.recent", "error_rate"):
        assert compile_selection(f"known({name})").score(spec, live) is None
    assert not made.state.models, "nor is it looked at as if it had been"


def test_only_what_is_live_is_read_at_each_decision() -> None:
    assert not compile_selection("weight > 1 and priced").live
    assert compile_selection("weight > 1 and failures < 2").live
    live = {name for name, attribute in ATTRIBUTES.items() if attribute.live}
    assert {name.partition(".")[0] for name in live} == {
        *("latency", "ttft", "requests", "in_flight", "failures", "error_rate", "cost", "expected_cost", "headroom")
    }


def test_the_stage_drops_what_is_not_selected_now() -> None:
    made = mesh("p.a", "p.b", select=compile_selection("in_flight < 1"))
    made.state.model("p.a").in_flight = 1
    decision = made.pipeline.decide(made.question(CHAT_NEEDS))
    assert decision.model is not None
    assert decision.model.id == "p.b"
    assert [drop.reason for drop in decision.dropped] == ["`select` does not include it now: in_flight < 1"]
    assert not decision.dropped[0].permanent


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("weight >", "cannot be read"),
        (
            "contxt_window > 1",
            "there is no attribute 'contxt_window' (at character 1); did you mean \"context_window\"?",
        ),
        ("weight > 1 and latncy.p50 < 2", '(at character 16); did you mean "latency.p50"?'),
        ("  featurs.vision", '(at character 3); did you mean "features.vision"?'),
        ("features", 'did you mean "features.tool_calling"?'),
        ("'ü' == id and wight", "there is no attribute 'wight' (at character 15); did you mean \"weight\"?"),
        ("startwith(id, 'x')", "there is no function 'startwith' (at character 1); did you mean \"startswith\"?"),
        ("id", "is a text; expected a condition, or a number"),
        ("languages", "is a list; expected"),
        ("not id", "expected a condition, not a text (at character 5)"),
        ("not weight", "expected a condition, not a number"),
        ("weight or 1", "expected a condition, not a number"),
        ("weight and priced", "expected a condition, not a number"),
        ("id + 1 > 2", "expected a number, not a text"),
        ("id > 1", "a text cannot be compared in this way with a number (at character 6)"),
        ("id < 'x'", "a text cannot be compared in this way with a text"),
        ("weight in 'x'", "a number cannot be compared in this way with a text"),
        ("weight in ['x']", "a number cannot be compared in this way with a list"),
        ("id in [1]", "a text cannot be compared in this way with a list"),
        ("languages == ['x']", "a list cannot be compared in this way with a list"),
        ("id in [1, 'x']", "expected a list of texts in quotes, or of numbers"),
        ("id in [provider]", "expected a list of texts in quotes"),
        ("id in []", "expected a list of texts"),
        ("id in [*languages]", "is not part of the language"),
        ("priced is true", "`is` is not part of the language"),
        ("max_images == None", "known(…) says whether something is known"),
        ("id == b'x'", "expected a number, a text in quotes, true or false"),
        ("weight > 1j", "expected a number, a text in quotes"),
        ("weight < " + "9" * 400, "is too large a number"),
        ("weight < 1e999", "is too large a number"),
        ("1 if priced else id", "gives a number or a text; expected two texts, numbers or conditions"),
        ("languages if priced else languages", "expected two texts, numbers or conditions"),
        ("min(weight)", "min() takes two numbers or more"),
        ("max(weight, id)", "max() takes two numbers or more"),
        ("abs(id)", "abs() takes a number"),
        ("known()", "known() takes an attribute"),
        ("default(id, 1) == 'x'", "default() takes an attribute, and a value"),
        ("matches(id, provider)", 'matches() takes a text and a pattern like "gpt-*"'),
        ("startswith(id)", "startswith() takes two texts"),
        ("startswith(id, prefix='x')", "startswith() takes two texts"),
        ("startswith(*languages)", "startswith() takes two texts"),
        ("weight > 1 # cheap", "# is not part of the language (at character 12)"),
        (r"id == '\x41'", "\\ is not part of the language"),
        ("-" * DEEPEST + "-1 > 0", f"is nested more than {DEEPEST} deep"),
        ("1 + " * DEEPEST + "1 + 1 + 1", f"is nested more than {DEEPEST} deep"),
        ("(" * 500 + "1" + ")" * 500, "cannot be read"),
        ("1 > 0 or " * LONGEST, f"at most {LONGEST} are allowed"),
        ("id == '\0'", "cannot be read"),
        ("\ud800 > 1", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_there_is_instead(text: str, said: str) -> None:
    with pytest.raises(SelectionError) as caught:
        compile_selection(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0].__subclasses__()",
        "id.__class__ == 1",
        "id.format(1) == 'x'",
        "features.__class__",
        "features.vision.__class__",
        "'{0.__class__}'.format(id) == ''",
        "'%s' % id == ''",
        "f'{id}' == ''",
        "(lambda: 1)() > 0",
        "[x for x in (1, 2)]",
        "{x: 1 for x in languages}",
        "any(x for x in languages)",
        "open('/etc/passwd') and priced",
        "eval('1')",
        "getattr(id, 'x')",
        "min.__self__",
        "min.__call__(1, 2)",
        "min(1, 2).real",
        "known(min)",
        "ATTRIBUTES",
        "self.live",
        "model.provider",
        "question",
        "9 ** 9 ** 9 > 1",
        "1 << 99999999 > 1",
        "'x' * 999999999 == id",
        "[1] * 999999999 == 1",
        "id[0] == 'x'",
        "weight // 1",
        "weight % 2",
        "~1",
        "1 | 2",
        "1 @ 2",
        "(x := 1) > 0",
        "(yield)",
        "await id",
        "weight > 1; weight",
        "{'a': 1}",
        "...",
        "print",
        "None",
        "min(*(1, 2))",
        "max(1, 2, key=id)",
        "import os",
    ],
)
def test_nothing_of_python_is_reachable(text: str) -> None:
    with pytest.raises(SelectionError):
        compile_selection(text)


def _scored(text: str) -> None:
    try:
        selection = compile_selection(text)
    except SelectionError:
        return
    assert isinstance(selection, Selection)
    made = seen()
    for spec in (MINI, UNKNOWN, made.table.models["p.a"]):
        for live in (None, Live(made.question(), made.state)):
            value = selection.score(spec, live)
            assert value is None or isinstance(value, float)


@given(some.text(max_size=60))
@example("0_0")
@example("1if 1else 2")
@pytest.mark.interpreted
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    _scored(text)


_words: list[Any] = [
    *ATTRIBUTES,
    *("and", "or", "not", "in", "if", "else", "==", "!=", "<", ">=", "+", "-", "*", "/", "**", ",", "(", ")", "[", "]"),
    *("min(", "max(", "abs(", "known(", "default(", "matches(id,", "startswith(", "lambda:", "is", "for x in", ":="),
    *("1", "0", "1e308", "'x'", "'*'", "true", "false", "None", "__class__", ".", "{", "}"),
]


@given(some.lists(some.sampled_from(_words), max_size=12).map(" ".join))
@pytest.mark.interpreted
def test_any_words_of_it_are_an_expression_or_refused(text: str) -> None:
    _scored(text)


_numbers = some.recursive(
    some.sampled_from(["weight", "max_images", "context_window", "latency.p50", "0", "1e300", "features.vision"]),
    lambda inner: some.one_of(
        some.tuples(inner, some.sampled_from("+-*/"), inner).map(lambda each: f"({' '.join(each)})"),
        some.tuples(inner, inner).map(lambda each: f"max({', '.join(each)})"),
        some.tuples(inner, inner, inner).map(lambda each: f"({each[0]} if {each[1]} < 2 else {each[2]})"),
        some.tuples(inner, inner).map(lambda each: f"({each[0]} > 1 and {each[1]})"),
    ),
    max_leaves=12,
)


@given(_numbers)
@pytest.mark.interpreted
def test_any_arithmetic_gives_a_number_or_nothing(text: str) -> None:
    assert len(text) < LONGEST
    _scored(text)
