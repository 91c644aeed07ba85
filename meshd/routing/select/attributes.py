"""The attributes of a model that `select` and `require` may use: their names, and how each is read.

Owns: the tables of attributes, and the error of an invalid condition.
Must never: expose anything about a model that is not in these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from meshd.core.money import dollars
from meshd.core.prices import PRICES, Pricing
from meshd.routing.availability.latencies import Latencies
from meshd.routing.availability.state import MeshState, ModelState
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from modelmesh.wording import meant

Kind = Literal["truth", "number", "text", "list"]
Value = Any
"""bool, float, str or a collection of str, as the kind says; None: not known."""


class Live(NamedTuple):
    """What attributes that change while requests run are read from."""

    question: Question
    state: MeshState


Reader = Callable[[ModelSpec, Live | None], Value]

FEATURES = (
    "tool_calling",
    "structured_output",
    "json_mode",
    "system_prompt",
    "grounding",
    "logprobs",
    "fine_tunable",
    "vision",
    "reasoning",
)


class SelectionError(ValueError):
    """The expression or condition is invalid; the message says what, where, and what to use instead.

    problem: the same without the position and the suggestion. position: of a character, from 1.
    """

    def __init__(self, problem: str, position: int | None = None, suggestion: str | None = None) -> None:
        where = f" (at character {position})" if position is not None else ""
        super().__init__(f"{problem}{where}{meant(suggestion)}")
        self.problem = problem
        self.position = position
        self.suggestion = suggestion


class Attribute(NamedTuple):
    """live: it changes while requests run, and can only be read with what is known now."""

    kind: Kind
    read: Reader
    live: bool = False


# -- what a model is -----------------------------------------------------------------------------------


def _field(name: str) -> Reader:
    return lambda model, _: getattr(model, name)


def _feature(name: str) -> Reader:
    return lambda model, _: bool((model.features or {}).get(name))


def _price(name: str) -> Reader:
    def read(model: ModelSpec, _: Live | None) -> float | None:
        return _usd(model.pricing, name) if model.priced else None

    return read


def _usd(pricing: Pricing, name: str) -> float:
    return dollars(pricing.price(name))


@lru_cache(maxsize=1000)
def _nodes(leaves: tuple[str, ...]) -> frozenset[str]:
    """Every node at or above the leaves, by its path and by its own name."""
    return frozenset(name for leaf in leaves for path in _above(leaf) for name in (path, path.rpartition(".")[2]))


def _above(leaf: str) -> Iterator[str]:
    while leaf:
        yield leaf
        leaf = leaf.rpartition(".")[0]


_CONSTRAINTS = {
    name: Attribute("number", _field(name))
    for name in ("context_window", "max_output_tokens", "max_images", "max_file_size")
}

DECLARED: dict[str, Attribute] = {
    **{f"features.{name}": Attribute("truth", _feature(name)) for name in FEATURES},
    **{f"constraints.{name}": attribute for name, attribute in _CONSTRAINTS.items()},
    "constraints.supported_languages": Attribute("list", _field("languages")),
    **{f"delivery.{name}": Attribute("truth", _field(name)) for name in ("synchronous", "streaming", "batch")},
}
"""What `models.ID` declares, by its keys there."""


# -- how it does ---------------------------------------------------------------------------------------


def _latency(read: Callable[[Latencies], float | None], prefix: Literal["latency", "ttft"]) -> Attribute:
    of_tokens = prefix == "ttft"

    def of(model: ModelSpec, live: Live | None) -> float | None:
        state = live.state.models.get(model.id) if live is not None else None
        return None if state is None else read(state.first_token if of_tokens else state.total)

    return Attribute("number", of, live=True)


def _count(read: Callable[[ModelState], float]) -> Attribute:
    """None for a model that was never asked."""

    def of(model: ModelSpec, live: Live | None) -> float:
        state = live.state.models.get(model.id) if live is not None else None
        return 0.0 if state is None else float(read(state))

    return Attribute("number", of, live=True)


def _failures(model: ModelSpec, live: Live | None) -> float:
    member = live.state.members.get((live.question.pool.name, model.id)) if live is not None else None
    return 0.0 if member is None else float(member.failures)


def _error_rate(model: ModelSpec, live: Live | None) -> float | None:
    member = live.state.members.get((live.question.pool.name, model.id)) if live is not None else None
    return None if member is None or live is None else member.outcomes.rate(live.question.now).fraction


def _headroom(model: ModelSpec, live: Live | None) -> float | None:
    return None if live is None else live.state.rates.headroom(live.question, model).fraction


def _expected_cost(model: ModelSpec, live: Live | None) -> float | None:
    return dollars(live.question.estimate(model).cost) if live is not None and model.priced else None


_LATENCIES: dict[str, Callable[[Latencies], float | None]] = {
    "average": lambda latencies: latencies.average,
    "recent": lambda latencies: latencies.smoothed,
    "p50": lambda latencies: latencies.percentile(0.5),
    "p95": lambda latencies: latencies.percentile(0.95),
}

ATTRIBUTES: dict[str, Attribute] = {
    "id": Attribute("text", _field("id")),
    "provider": Attribute("text", _field("provider")),
    "model": Attribute("text", _field("upstream")),
    "vocabulary": Attribute("text", _field("vocabulary")),
    "capabilities": Attribute("list", lambda model, _: _nodes(model.capabilities)),
    "languages": Attribute("list", _field("languages")),
    "weight": Attribute("number", _field("weight")),
    "priced": Attribute("truth", _field("priced")),
    **_CONSTRAINTS,
    **DECLARED,
    **{f"pricing.{name}": Attribute("number", _price(name)) for name in PRICES},
    **{f"latency.{name}": _latency(read, "latency") for name, read in _LATENCIES.items()},
    **{f"ttft.{name}": _latency(read, "ttft") for name, read in _LATENCIES.items()},
    "requests": _count(lambda state: state.requests),
    "in_flight": _count(lambda state: state.in_flight),
    "failures": Attribute("number", _failures, live=True),
    "error_rate": Attribute("number", _error_rate, live=True),
    "cost": _count(lambda state: dollars(state.cost)),
    "expected_cost": Attribute("number", _expected_cost, live=True),
    "headroom": Attribute("number", _headroom, live=True),
}
"""Every name of the expression language. Money is in USD, time in seconds."""
