"""The tokens of a request's prompt, for apps that ask before sending it.

Must never: reserve anything, or ask a model.
"""

from __future__ import annotations

from concurrent.futures import Executor

from meshd.gateway.frontends.exchange import Request
from meshd.gateway.requests import arrival
from meshd.gateway.requests.token_counting import count_all
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken


async def prompt_tokens(runtime: Runtime, reader: Executor, request: Request, spoken: Spoken) -> int:
    """Exact for text if the model's vocabulary is known, else an estimate; of several models, the most. reader: the
    thread that reads long bodies. Raises MeshError."""
    if len(request.body) > arrival.LONG:
        await arrival.read_ahead(reader, runtime, request, spoken)
    asked = arrival.begin(runtime, request, spoken)
    models = (asked.table.models.get(id) for pool in asked.plan.pools for id in pool.members)
    vocabularies = {model.vocabulary for model in models if model is not None and model.vocabulary}
    needs = await count_all(asked.plan.needs, asked.body, vocabularies)
    return needs.tokens
