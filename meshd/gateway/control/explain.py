"""`explain`: how a request would be routed now, and why, without sending it.

Owns: the explanation of a decision, made by the same objects that decide.
Must never: change anything: no reservation, no place taken, no pool moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.core.member_key import member_key
from meshd.core.money import dollars
from meshd.core.needs import RequestNeeds
from meshd.formats.openai.format import OPENAI
from meshd.formats.protocol import AppSide
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.actors import Actors
from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.control.base import Group, text
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.frontends.admission import MOST_FIELDS
from meshd.gateway.frontends.exchange import lower_names
from meshd.gateway.reports import views
from meshd.gateway.requests import token_counting
from meshd.gateway.requests.attempts.hedging import hedge_delay
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken, spoken_at
from meshd.host import clock
from meshd.operations.known import of_body
from meshd.routing.attempts.errors.no_model import Consulted, none_left
from meshd.routing.attempts.waiting import Wait, wait_of
from meshd.routing.decision import pipeline
from meshd.routing.request import cache_key
from meshd.routing.request.estimate import why_input, why_output
from meshd.routing.request.question import Question, Requester
from meshd.routing.request.session import session_of
from meshd.routing.request.vocabularies import vocabularies_wanted
from meshd.routing.table.access import pools_to_try
from meshd.routing.table.specs import PoolSpec, Target
from modelmesh.errors import AccessDeniedError, InvalidRequestError, MeshError, NotFoundError
from modelmesh.wording import no_such


class Explain(Group):
    def __init__(self, runtime: Runtime, actors: Actors, cache: ResponseCache) -> None:
        super().__init__(runtime, actors)
        self._kept = cache

    def add_to(self, table: Dispatcher) -> None:
        table.add("POST", "/mesh/v1/explain", self.explain)

    async def explain(self, call: Call) -> dict[str, Any]:
        runtime, body = self.runtime, dict(call.body)
        identity = self._asked_for(call, body)
        headers = _headers(body)
        asked, target, needs, fields, app = await self._read(body, identity)
        denied = None
        try:
            runtime.apps.check(identity, target, app.names(fields, needs.operation.text + needs.operation.free))
        except AccessDeniedError as error:
            if not self.is_admin(call):
                raise
            denied = error
        session = session_of(target.pool, headers, app, fields, identity.label)
        operator = self.is_admin(call)
        # As if the app sent its own key, where a provider takes that.
        requester = Requester(identity.spec, identity.account, identity.label, session, operator=operator, has_key=True)
        now = clock.now()
        pools = pools_to_try(target.pool, identity.spec, runtime.table)
        questions = [Question(runtime.table, pool, needs, now, requester) for pool in pools]
        explained = Explanation(runtime, identity, asked, target, questions, denied).as_map()
        uid, beside = call.caller.uid, [dict(each) for each in app.passed_on(headers, "")]
        found = cache_key.lookup(target.pool, asked, needs, fields, headers, identity.spec, uid, app, beside)
        explained["cache"] = self._cache(target.pool, found)
        return explained

    def _cache(self, pool: PoolSpec, found: cache_key.Lookup | None) -> dict[str, Any] | None:
        """applies: whether this request may be answered from the cache, or its answer kept. age: the age in seconds of
        the answer that it would get now. For another app, answers are looked up as if the caller's user ran that
        app."""
        if pool.cache is None:
            return None
        age = None if found is None else self._kept.age(pool.name, found)
        return {"applies": found is not None, "ttl": pool.cache.ttl, "scope": pool.cache.scope, "age": age}

    def _asked_for(self, call: Call, body: dict[str, Any]) -> Identity:
        """The app to explain for: the caller's own; an administrator may name another."""
        apps = self.runtime.apps
        if body.get("app") is None:
            body.pop("app", None)
            return apps.identify(call.caller)
        name = text(body, "app")
        del body["app"]
        own = apps.identify(call.caller)
        if not self.is_admin(call) and name not in (own.label, own.account):
            raise AccessDeniedError(
                f"only an administrator may ask as another app; you are {own.label}", app=own.label, allowed=[own.label]
            )
        found = apps.named(name)
        if found is None:
            raise NotFoundError(no_such("app", name, self.runtime.table.apps), param="app")
        return found

    async def _read(
        self, body: dict[str, Any], identity: Identity
    ) -> tuple[str, Target, RequestNeeds, Mapping[str, msgspec.Raw], AppSide]:
        """(the name asked for, what it stands for, its needs, its fields, their format). Raises InvalidRequestError,
        NotFoundError."""
        path = body.pop("path", "")
        spoken = spoken_at().get(str(path)) if path else Spoken(of_body(body, str(body.get("model", ""))), OPENAI.name)
        if spoken is None:
            raise InvalidRequestError(f"`path` must be one of {', '.join(spoken_at())}", param="path")
        app = spoken.format.app
        asked, needs, fields, _ = app.read(spoken.operation, msgspec.json.encode(body))
        target = self.resolve(asked)
        wanted = vocabularies_wanted(self.runtime.table, target.pool, identity.spec)
        counted = await token_counting.count_all(needs, token_counting.Body(app, fields), wanted)
        return asked, target, counted, fields, app


class Explanation:
    """The routing of one request. questions: for its pool and each fallback pool."""

    def __init__(
        self,
        runtime: Runtime,
        identity: Identity,
        asked: str,
        target: Target,
        questions: list[Question],
        denied: MeshError | None,
    ) -> None:
        self.runtime = runtime
        self.identity = identity
        self.asked = asked
        self.target = target
        self.questions = questions
        self.consulted = [Consulted(question, runtime.pipeline.decide(question)) for question in questions]
        self.chosen: str | None = None
        self.error = denied
        self.wait: Wait | None = None
        if denied is None:
            self._decide()

    def _decide(self) -> None:
        """Decide as a plan does: the first pool with a free model, unless an earlier one answers with an error."""
        for each in self.consulted:
            self.error = self.runtime.pipeline.refuses(each.question, each.decision)
            if self.error is not None:
                return
            if each.decision.model is not None:
                self.chosen = each.decision.model.id
                return
        self.wait = wait_of(self.consulted, self.runtime.pipeline, {}, self.questions[0].now)
        if self.wait is None:
            self.error = none_left(self.consulted, self.runtime.pipeline)

    def as_map(self) -> dict[str, Any]:
        question = self.questions[0]
        explained = self.runtime.pipeline.explain(question)
        return {
            "asked": self.asked,
            "resolution": {"kind": self.target.kind, "name": self.target.pool.name, "alias": self.target.alias or None},
            "app": {
                "name": self.identity.label,
                "account": self.identity.account,
                "priority": self.identity.spec.priority,
                "weight": self.identity.spec.weight,
            },
            "pool": self.target.pool.name,
            "strategy": self.target.pool.strategy,
            "needs": question.needs.describe(),
            "stages": self._stages(explained),
            "order": explained.order,
            "chosen": self.chosen,
            "error": self._error(),
            "candidates": [self._candidate(question, id) for id in self._seen(question)],
            "budgets": self._budgets(question),
            "queue": self._queue(),
            "fallbacks": [
                {"pool": each.question.pool.name, "chosen": each.decision.model.id if each.decision.model else None}
                for each in self.consulted[1:]
            ],
            "hedge": self._hedge(question.pool),
        }

    @staticmethod
    def _seen(question: Question) -> list[str]:
        """The pool's models that the caller may know of."""
        return [id for id in question.pool.members if question.requester.may_see(id)]

    def _stages(self, explained: pipeline.Explanation) -> list[dict[str, Any]]:
        seen = self._seen(self.questions[0])
        return [
            {
                "name": stage.name,
                "kept": stage.kept,
                "dropped": [
                    {"model": drop.model, "reason": drop.reason} for drop in stage.dropped if drop.model in seen
                ],
                "remarks": [{"model": model, "reason": reason} for model, reason in stage.remarks.items()],
            }
            for stage in explained.stages
        ]

    def _error(self) -> dict[str, Any] | None:
        error = self.error
        if error is None:
            return None
        return {"message": error.message, "code": error.code, "status": error.status_code}

    def _candidate(self, question: Question, id: str) -> dict[str, Any]:
        """Every reason against a model, not only the first; and what the request would use there."""
        model = question.table.models[id]
        most = question.estimate(model)
        expected = model.pricing.cost(min(question.needs.tokens, most.tokens_in), most.tokens_out)
        return {
            "model": id,
            "provider": model.provider,
            "reasons": [
                {"stage": stage.name, "reason": reason}
                for stage in self.runtime.pipeline.stages
                if (reason := stage.objection(model, question)) is not None
            ],
            "priced": model.priced,
            "expected_cost": dollars(expected),
            "reservation": {
                "tokens_in": most.tokens_in,
                "tokens_out": most.tokens_out,
                "cost": dollars(most.cost),
                "because": {"in": why_input(question.needs, model), "out": why_output(question.needs, model)},
            },
            "headroom": views.headroom_map(self.runtime.state.rates.headroom(question, model)),
        }

    def _budgets(self, question: Question) -> list[dict[str, Any]]:
        """Every limit that applies to one of the candidates."""
        pool = question.pool
        scopes = {("app", self.identity.account), ("pool", pool.name)}
        for id in self._seen(question):
            scopes |= {
                ("model", id),
                ("provider", question.table.models[id].provider),
                ("member", member_key(pool.name, id)),
            }
        return views.View(question.table, self.runtime.pipeline, question.now).allowances_of(scopes)

    def _queue(self) -> dict[str, Any]:
        until = None if self.wait is None else self.wait.until
        return {
            "would_wait": self.wait is not None,
            "waiting": len(self.runtime.room.queue),
            "frees_in": None if until is None else round(until - self.questions[0].now, 3),
        }

    def _hedge(self, pool: PoolSpec) -> dict[str, Any] | None:
        if pool.hedge_after is None or not self.questions[0].needs.operation.hedged:
            return None
        known = None if self.chosen is None else self.runtime.state.model(self.chosen)
        stream = self.questions[0].needs.stream
        latencies = None if known is None else known.first_token if stream else known.total
        return {
            "rule": pool.hedge_after,
            "after": None if latencies is None else hedge_delay(pool.hedge_after, latencies),
        }


def _headers(body: dict[str, Any]) -> dict[str, str]:
    """The request's headers: they may name its session, and control the cache."""
    found = body.pop("headers", None) or {}
    if (
        not isinstance(found, dict)
        or len(found) > MOST_FIELDS
        or not all(isinstance(value, str) for value in found.values())
    ):
        raise InvalidRequestError(f"`headers` must be a map of at most {MOST_FIELDS} names to strings", param="headers")
    return lower_names(found)
