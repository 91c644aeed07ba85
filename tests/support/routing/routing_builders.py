"""Small meshes for the rules' tests: models, a pool of them, a state, and a request's plan, with no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from meshd.compilation.built_in_strategies import built_in_strategies
from meshd.core.needs import RequestNeeds
from meshd.operations import chat
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.attempts.plan import AttemptStep, GiveUp, RequestPlan, Wait
from meshd.routing.availability.state import Availability, MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind, ProviderFailure
from modelmesh import MeshError

CHAT = "generation.text-generation.chat-completion"
COMPLETION = "generation.text-generation.text-completion"
EMBEDDINGS = "representation.embeddings.text-embeddings"
NOW = 1_000_000.0
STRATEGIES = built_in_strategies()
STICK = "modelmesh.stick-until-failure.v1"
PRIORITY = "modelmesh.priority-selection.v1"
ROUND_ROBIN = "modelmesh.round-robin.v1"
ALL_FEATURES = {"tool_calling": True, "structured_output": True, "json_mode": True, "vision": True}
NO_FEATURES = dict.fromkeys(ALL_FEATURES, False)
CHAT_NEEDS = RequestNeeds(chat.CHAT)


def model(id: str, **given: Any) -> ModelSpec:
    """`p.m` is the provider p's model m; without a dot the provider is "p"."""
    provider, _, upstream = id.rpartition(".")
    given.setdefault("provider", provider or "p")
    given.setdefault("upstream", upstream)
    given.setdefault("capabilities", (CHAT,))
    given.setdefault("features", ALL_FEATURES)
    return ModelSpec(id=id, **given)


def table(
    models: Iterable[ModelSpec | str],
    pools: Iterable[PoolSpec] = (),
    tree: CapabilityTree | None = None,
    providers: Iterable[ProviderSpec] = (),
) -> RoutingTable:
    specs = [each if isinstance(each, ModelSpec) else model(each) for each in models]
    given = {provider.name: provider for provider in providers}
    for spec in specs:
        given.setdefault(spec.provider, ProviderSpec(spec.provider, "modelmesh.scripted.v1"))
    return RoutingTable(tree or CapabilityTree.default(), specs, given.values(), pools)


@dataclass
class Mesh:
    """One pool and what is known of it. `now` stands still unless a test moves it."""

    table: RoutingTable
    pool: PoolSpec
    state: MeshState = field(default_factory=MeshState)
    now: float = NOW

    def __post_init__(self) -> None:
        self.pipeline = Pipeline(self.state, STRATEGIES)
        self.counters = LocalCounters(self.state)

    def question(self, needs: RequestNeeds = CHAT_NEEDS) -> Question:
        return Question(self.table, self.pool, needs, self.now, Requester(operator=True))

    def plan(self, needs: RequestNeeds = CHAT_NEEDS, timeout: float = 1000.0, random: float = 0.0) -> RequestPlan:
        question = structs.replace(self.question(needs), requester=Requester(random=lambda: random, operator=True))
        return RequestPlan(self.pipeline, self.counters, question, self.now + timeout)

    def decide(self, needs: RequestNeeds = CHAT_NEEDS) -> str | None:
        chosen = self.pipeline.decide(self.question(needs)).model
        return chosen.id if chosen else None

    def ask(self, needs: RequestNeeds = CHAT_NEEDS) -> str:
        """A request that succeeds at the first model it is sent to."""
        plan = self.plan(needs)
        step = tried(plan.next(self.now))
        plan.succeeded(self.now, 0.1)
        return step.model.id

    def in_flight(self) -> list[int]:
        models, providers = self.state.models.values(), self.state.providers.values()
        return [known.in_flight for known in models] + [known.in_flight for known in providers]

    def testers(self) -> list[Availability]:
        state = self.state
        found = [known.availability for known in state.providers.values()]
        found += [known.availability for known in state.models.values()]
        found += [known.availability for known in state.members.values()]
        return [availability for availability in found if availability.tester is not None]

    def member(self, id: str) -> Availability:
        return self.state.member(self.pool.name, id).availability


def mesh(*models: ModelSpec | str, providers: Iterable[ProviderSpec] = (), **pool: Any) -> Mesh:
    """A pool called "chat" with these models, and whatever else of it is given."""
    ids = tuple(each if isinstance(each, str) else each.id for each in models)
    spec = PoolSpec("chat", CHAT, ids, **pool)
    return Mesh(table(models, [spec], providers=providers), spec)


def failure(kind: FailureKind, status: int = 0, message: str = "it failed", **given: Any) -> ProviderFailure:
    return ProviderFailure(kind, message, status=status or _STATUS.get(kind, 0), **given)


_STATUS = {
    FailureKind.AUTHENTICATION: 401,
    FailureKind.PERMISSION: 403,
    FailureKind.RATE_LIMIT: 429,
    FailureKind.QUOTA: 429,
    FailureKind.SERVER: 500,
    FailureKind.UNSUPPORTED: 400,
    FailureKind.CONTEXT_LENGTH: 400,
    FailureKind.MODEL_NOT_FOUND: 404,
    FailureKind.INVALID_REQUEST: 400,
}

SERVER = failure(FailureKind.SERVER)
CONNECTION = failure(FailureKind.CONNECTION)


def tried(step: AttemptStep | GiveUp) -> AttemptStep:
    assert isinstance(step, AttemptStep), step
    return step


def gave_up(step: AttemptStep | GiveUp) -> MeshError:
    assert isinstance(step, GiveUp), step
    return step.error


def walk(made: Mesh, plan: RequestPlan, *failures: Any) -> list[tuple[str, float]]:
    """Fail once after another, each where `next` says; (model, wait) of every step, time going by with the waits."""
    steps = []
    for failed in failures:
        step = tried(plan.next(made.now))
        steps.append((step.model.id, step.wait))
        made.now += step.wait
        plan.failed(failed, made.now, 0.0)
    return steps


def waits(step: AttemptStep | Wait | GiveUp) -> Wait:
    """For a model on standby."""
    assert isinstance(step, Wait), step
    assert step.resting, step
    return step
