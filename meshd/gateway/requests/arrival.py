"""Reads a request that arrives, resolves its `model` and checks it; or refuses it.

Must never: reserve anything, or answer.

A long body is read in another thread, because it can take a tenth of a second, in which other apps would wait. There is
only one such thread: several would leave the loop less of the interpreter's time.
"""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import Executor
from functools import partial

from meshd.core.events.records import Outcome
from meshd.formats.multipart import forms
from meshd.gateway.frontends import media
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.requests.outcome import outcome
from meshd.gateway.requests.request import InferenceRequest
from meshd.gateway.requests.streams.delivery import Delivery
from meshd.gateway.requests.token_counting import Body
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken
from meshd.routing.attempts.plan import RequestPlan
from meshd.routing.request.question import Question, Requester
from meshd.routing.request.session import session_of
from meshd.routing.table.access import allowed_aliases, allowed_models, allowed_pools
from meshd.routing.table.specs import AppSpec, RoutingTable, UnknownModel
from meshd.sdk.provider import OperationSpec
from modelmesh.errors import InvalidRequestError, MeshError, NotFoundError
from modelmesh.wording import MOST_NAMES, few, short, told

LONG = 128 * 1024
"""Bytes: a body of at least this size is read in another thread."""


async def read_ahead(executor: Executor, runtime: Runtime, request: Request, spoken: Spoken) -> None:
    """Read a long body, so that `begin` only has to use it."""
    body = request.body
    read = executor.submit(spoken.format.app.read, spoken.operation, body, budgeted=runtime.table.budgeted)
    await asyncio.wait((asyncio.wrap_future(read),))
    request.read_ahead = (body, read)


async def read_body(executor: Executor, request: Request, operation: OperationSpec) -> None:
    """Check the type of a request's body; of a form, read its fields. Raises InvalidRequestError."""
    content_type = request.headers.get("content-type", "")
    if not operation.form or not forms.is_form(content_type):
        if not operation.json:
            what = content_type.partition(";")[0][:100] or "a body without a content type"
            raise media.unsupported(request, what, "a form (multipart/form-data)", "send it as one")
        media.require_json(request)
        return
    media.require_plain(request, "a form (multipart/form-data)", "send it as it is")
    read = partial(forms.read_form, request.body, content_type)
    if len(request.body) <= LONG:
        request.form = read()
    else:
        request.form = await asyncio.get_running_loop().run_in_executor(executor, read)
    request.body = request.form.body()


def begin(runtime: Runtime, request: Request, spoken: Spoken) -> InferenceRequest:
    """Read a request and resolve its `model`. Raises MeshError."""
    table, operation, app = runtime.table, spoken.operation, spoken.format.app
    if request.read_ahead is not None and request.read_ahead[0] is request.body:
        asked, needs, fields, sent = request.read_ahead[1].result()
    else:
        asked, needs, fields, sent = app.read(operation, request.body, budgeted=table.budgeted)
    if request.stream and not needs.stream:
        raise InvalidRequestError('the frame asks for a stream but the body does not: set "stream": true in both')
    request.stream = needs.stream
    try:
        target = table.resolve(asked)
    except UnknownModel as unknown:
        raise unknown_model(unknown, table, runtime.apps.identify(request.caller).spec) from None
    caller = request.caller
    identity = runtime.apps.identify(caller, request.arrived_at)
    runtime.apps.check(identity, target, app.names(fields, operation.text + operation.free))
    session = session_of(target.pool, request.headers, app, fields, identity.label)
    operator = runtime.apps.is_admin(caller)
    requester = Requester(
        identity.spec,
        identity.account,
        identity.label,
        session,
        random.random,
        caller.uid,
        operator,
        request.gives_way,
        request.credential is not None,
        runtime.config.config.batches.rate_share if request.gives_way and runtime.config is not None else 1.0,
    )
    question = Question(table, target.pool, needs, request.arrived, requester)
    plan = RequestPlan(runtime.pipeline, runtime.counters, question, request.deadline.at, request.deadline.latest)
    reply = request.way_back
    if operation.answers and operation.answer_to(fields) == "binary":
        request.reply.file = ""
    body, delivery = Body(app, fields), Delivery(reply, operation, needs, app)
    return InferenceRequest(runtime, request, spoken, table, asked, target, plan, sent, identity, body, delivery)


def unknown_model(unknown: UnknownModel, table: RoutingTable, app: AppSpec) -> NotFoundError:
    """app: the caller's. The error names nothing that it may not use."""
    usable = {pool.name for pool in allowed_pools(app, table)} | {model.id for model in allowed_models(app, table)}
    usable.update(allowed_aliases(app, table))
    others = {*table.pools, *table.models, *(alias.name for alias in table.aliases.all)} - usable
    nearest = [name for name in unknown.nearest if name not in others]
    if table.tree.resolve(unknown.name) is not None:
        text = f"No model here has the capability {unknown.name}; add a provider that serves it."
    else:
        near = f"did you mean {' or '.join(map(short, nearest[:1]))}?" if nearest else ""
        names = [pool.name for pool in allowed_pools(app, table)]
        text = told(
            f"No pool, capability or model is called {short(repr(unknown.name))}; "
            f"{near or 'see `meshctl pools` and `meshctl models`.'}",
            f"nearest: {', '.join(nearest)}" if len(nearest) > 1 else "",
            f"pools are: {few([*map(short, names)], MOST_NAMES)}" if names else "",
        )
    return NotFoundError(text, code="model_not_found", param="model", nearest=nearest)


def refused(runtime: Runtime, request: Request, operation: OperationSpec, error: MeshError) -> Outcome:
    """The record of a request that reached no pool: unreadable, or for something unknown or not allowed."""
    identity = runtime.apps.identify(request.caller)
    return outcome(request, operation, identity, "", error.status_code, error=error.message)
